package command

// Our images hold no file but the program. If the system has no certificates of
// authorities, Mozilla's are used, as of the version of this module. A mounted
// directory /etc/ssl/certs, or SSL_CERT_FILE, comes before them.
import _ "golang.org/x/crypto/x509roots/fallback"
