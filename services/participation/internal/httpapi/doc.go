// Package httpapi serves every call of the contract over HTTP/JSON, at the paths of
// proto/raffle/v1/http.yaml, and the OpenAPI document that describes them.
//
// A request is read strictly into the message of its call (request.go): parameters
// in the path, the query, a form or a JSON body are all checked, and one that is
// unknown, malformed or doubled is an error. grpc-gateway then calls the gRPC server
// and encodes the response in proto3's JSON. Streams of entries, which grpc-gateway
// does not read strictly, are served by stream.go.
//
// Every error is {"error":{"code","reason","message"}}, in our own words.
package httpapi
