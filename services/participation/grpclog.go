package participation

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// RedirectGRPCLog has gRPC, and grpc-gateway, log to a logger instead of writing lines of
// their own to standard error. It is for the beginning of main: gRPC knows one logger.
func RedirectGRPCLog(to *slog.Logger) { grpclog.SetLoggerV2(grpcLogger{to}) }

// grpcLogger logs what gRPC has to say. Its errors are the mistakes of peers, and texts
// that strangers have written, so they are warnings here, and the rest is at debug.
type grpcLogger struct{ log *slog.Logger }

func (l grpcLogger) debug(text string) { l.log.Debug("gRPC", "text", strings.TrimSpace(text)) }
func (l grpcLogger) warn(text string)  { l.log.Warn("gRPC", "text", strings.TrimSpace(text)) }

// Info implements grpclog.LoggerV2, as all that follow.
func (l grpcLogger) Info(args ...any)                 { l.debug(fmt.Sprint(args...)) }
func (l grpcLogger) Infoln(args ...any)               { l.debug(fmt.Sprintln(args...)) }
func (l grpcLogger) Infof(format string, args ...any) { l.debug(fmt.Sprintf(format, args...)) }

func (l grpcLogger) Warning(args ...any)                 { l.debug(fmt.Sprint(args...)) }
func (l grpcLogger) Warningln(args ...any)               { l.debug(fmt.Sprintln(args...)) }
func (l grpcLogger) Warningf(format string, args ...any) { l.debug(fmt.Sprintf(format, args...)) }

func (l grpcLogger) Error(args ...any)                 { l.warn(fmt.Sprint(args...)) }
func (l grpcLogger) Errorln(args ...any)               { l.warn(fmt.Sprintln(args...)) }
func (l grpcLogger) Errorf(format string, args ...any) { l.warn(fmt.Sprintf(format, args...)) }

func (l grpcLogger) fatal(text string) {
	l.log.Error("gRPC can't go on", "text", strings.TrimSpace(text))
	os.Exit(1)
}

func (l grpcLogger) Fatal(args ...any)                 { l.fatal(fmt.Sprint(args...)) }
func (l grpcLogger) Fatalln(args ...any)               { l.fatal(fmt.Sprintln(args...)) }
func (l grpcLogger) Fatalf(format string, args ...any) { l.fatal(fmt.Sprintf(format, args...)) }

// V reports false, so that gRPC makes no texts that nobody wants.
func (l grpcLogger) V(int) bool { return false }
