// Package penstock is a client of Penstock and of other Kubeflow Pipelines servers over gRPC.
//
// Every call has a deadline: the context's, or the client's default. Calls that only read are retried a few times while the
// server is unavailable, by the channel itself (gRPC service config, gRFC A6); calls that write never are.
package penstock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"penstock.dev/go/api/ml_metadata"
	v1 "penstock.dev/go/api/v1"
	"penstock.dev/go/api/v2beta1"
)

const (
	defaultDeadline = 30 * time.Second
	maxMessageBytes = 128 << 20
	userAgent       = "penstock-go/0.1.0"
)

// Client holds stubs of one server. Conn is for stubs of other services, such as those of package v1beta1.
type Client struct {
	Conn          *grpc.ClientConn
	Experiments   v2beta1.ExperimentServiceClient
	Pipelines     v2beta1.PipelineServiceClient
	Runs          v2beta1.RunServiceClient
	RecurringRuns v2beta1.RecurringRunServiceClient
	Insight       v1.InsightServiceClient
	Watches       v1.WatchServiceClient
	Uploads       v1.PipelineUploadServiceClient
	Access        v1.AccessServiceClient
	Pools         v1.PoolServiceClient
	Metadata      ml_metadata.MetadataStoreServiceClient
}

type settings struct {
	tls      *tls.Config
	deadline time.Duration
	dial     []grpc.DialOption
}

// Option changes how Dial connects.
type Option func(*settings)

// WithTLS encrypts the connection. An empty config trusts the system's authorities.
func WithTLS(config *tls.Config) Option { return func(s *settings) { s.tls = config } }

// TLSFromFiles is a config for WithTLS that trusts the authorities in caFile, and shows the certificate in certFile with
// the key in keyFile to a server that asks for one; all are PEM files. Without caFile the system's authorities are
// trusted. The certificate is read for every connection, so it may be replaced while the program runs.
func TLSFromFiles(caFile, certFile, keyFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		content, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("%s: no certificates in PEM", caFile)
		}
	}
	if certFile != "" || keyFile != "" {
		if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			return nil, err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(certFile, keyFile)
			return &pair, err
		}
	}
	return config, nil
}

// WithDeadline sets the deadline of calls whose context has none. Zero leaves them without.
func WithDeadline(deadline time.Duration) Option {
	return func(s *settings) { s.deadline = deadline }
}

// WithDialOptions adds gRPC's own options, such as per-call credentials.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// Dial makes a client of the server at target (HOST:PORT). It connects with the first call.
func Dial(target string, options ...Option) (*Client, error) {
	chosen := settings{deadline: defaultDeadline}
	for _, option := range options {
		option(&chosen)
	}
	transport := insecure.NewCredentials()
	if chosen.tls != nil {
		transport = credentials.NewTLS(chosen.tls)
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent(userAgent),
		grpc.WithDefaultServiceConfig(serviceConfig()),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithUnaryInterceptor(withDeadline(chosen.deadline)),
	}
	conn, err := grpc.NewClient(target, append(dial, chosen.dial...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	return &Client{
		Conn:          conn,
		Experiments:   v2beta1.NewExperimentServiceClient(conn),
		Pipelines:     v2beta1.NewPipelineServiceClient(conn),
		Runs:          v2beta1.NewRunServiceClient(conn),
		RecurringRuns: v2beta1.NewRecurringRunServiceClient(conn),
		Insight:       v1.NewInsightServiceClient(conn),
		Watches:       v1.NewWatchServiceClient(conn),
		Uploads:       v1.NewPipelineUploadServiceClient(conn),
		Access:        v1.NewAccessServiceClient(conn),
		Pools:         v1.NewPoolServiceClient(conn),
		Metadata:      ml_metadata.NewMetadataStoreServiceClient(conn),
	}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.Conn.Close() }

func withDeadline(deadline time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if _, given := ctx.Deadline(); !given && deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, deadline)
			defer cancel()
		}
		return invoke(ctx, method, request, reply, conn, options...)
	}
}

// serviceConfig names every method that only reads, found by its name in the descriptors.
func serviceConfig() string {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	var reads []name
	for _, service := range []grpc.ServiceDesc{
		v2beta1.ExperimentService_ServiceDesc, v2beta1.PipelineService_ServiceDesc, v2beta1.RunService_ServiceDesc,
		v2beta1.RecurringRunService_ServiceDesc, v1.InsightService_ServiceDesc,
		v1.AccessService_ServiceDesc, v1.PoolService_ServiceDesc, ml_metadata.MetadataStoreService_ServiceDesc,
	} {
		for _, method := range service.Methods {
			if strings.HasPrefix(method.MethodName, "Get") || strings.HasPrefix(method.MethodName, "List") {
				reads = append(reads, name{service.ServiceName, method.MethodName})
			}
		}
	}
	config, err := json.Marshal(map[string]any{"methodConfig": []any{map[string]any{
		"name": reads,
		"retryPolicy": map[string]any{
			"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
			"retryableStatusCodes": []string{"UNAVAILABLE"},
		},
	}}})
	if err != nil {
		panic(err) // Cannot happen: only texts and numbers are in it.
	}
	return string(config)
}
