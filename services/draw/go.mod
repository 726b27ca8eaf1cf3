module github.com/rafflecast/rafflecast/services/draw

go 1.26.0

require (
	github.com/cloudflare/circl v1.6.5
	golang.org/x/mod v0.42.0
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
