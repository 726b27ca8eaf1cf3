//go:build !linux

// Command bench-system needs Linux.
package main

import "fmt"

func main() { fmt.Println("bench-system: needs Linux") }
