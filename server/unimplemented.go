package server

import (
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// only returns the service with the methods named and no others, so that all others reach unimplemented.
func only(desc grpc.ServiceDesc, methods ...string) *grpc.ServiceDesc {
	desc.Methods = slices.DeleteFunc(slices.Clone(desc.Methods), func(m grpc.MethodDesc) bool { return !slices.Contains(methods, m.MethodName) })
	desc.Streams = slices.DeleteFunc(slices.Clone(desc.Streams), func(m grpc.StreamDesc) bool { return !slices.Contains(methods, m.StreamName) })
	return &desc
}

// unimplemented answers every call that no service takes.
func unimplemented(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return status.Errorf(codes.Unimplemented, "balsa: %s is not implemented in this version of Balsa", strings.TrimPrefix(method, "/"))
}
