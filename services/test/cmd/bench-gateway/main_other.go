//go:build !linux

// Command bench-gateway needs Linux.
package main

import "fmt"

func main() { fmt.Println("bench-gateway: needs Linux") }
