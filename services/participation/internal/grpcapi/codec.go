package grpcapi

import (
	"bytes"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto" // registers gRPC's own codec
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"
)

// codec is gRPC's own, with two differences. It writes an entered as the
// EnterStreamResponse that it stands for. And it never fails to read a request: gRPC would
// send the parser's text to the caller. A request that can't be read becomes an empty
// message with a mark, which the validator refuses.
type codec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

// unreadableMark stands where unknown fields are kept. It is no encoding of a field,
// so no request that can be read has it.
var unreadableMark = []byte{0}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	if msg, ok := v.(protobuf.Message); ok && err != nil {
		protobuf.Reset(msg)
		msg.ProtoReflect().SetUnknown(unreadableMark)
		err = nil
	}
	return err
}

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(*entered); ok {
		data, err := e.marshal()
		return mem.BufferSlice{mem.SliceBuffer(data)}, err
	}
	return c.CodecV2.Marshal(v)
}

// isUnreadable reports whether the codec could not read a message.
func isUnreadable(msg protobuf.Message) bool {
	return bytes.Equal(msg.ProtoReflect().GetUnknown(), unreadableMark)
}
