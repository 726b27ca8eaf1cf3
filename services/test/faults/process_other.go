//go:build !linux

package faults

import "syscall"

func setDeathSignal(*syscall.SysProcAttr) {}
