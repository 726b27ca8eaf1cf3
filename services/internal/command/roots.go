package command

// Images hold no file but the program: where the system has no certificates of
// authorities, Mozilla's, as of this module's version, are used. A mounted
// directory /etc/ssl/certs, or SSL_CERT_FILE, comes before them.
import _ "golang.org/x/crypto/x509roots/fallback"
