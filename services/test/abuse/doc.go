// Package abuse is a crowd of hostile clients, for the proof that they neither delay
// honest callers nor take a service's memory.
package abuse
