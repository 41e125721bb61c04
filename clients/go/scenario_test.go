package penstock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	penstock "penstock.dev/go"
	"penstock.dev/go/api/v1"
	"penstock.dev/go/api/v1beta1"
	"penstock.dev/go/api/v2beta1"
)

type step struct {
	Call    string
	Request map[string]any
	Save    map[string]string
	Expect  map[string]any
	Code    string
	Until   map[string][]any
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// TestScenario makes the calls of a scenario (PENSTOCK_STEPS, JSON) against a live server (PENSTOCK_GRPC) through the
// generated stubs, and fails when there is an RPC that no step called.
func TestScenario(t *testing.T) {
	client, err := penstock.Dial(required(t, "PENSTOCK_GRPC"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	content, err := os.ReadFile(required(t, "PENSTOCK_STEPS"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	if err := json.Unmarshal(content, &steps); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{"client": "go", "package_url": required(t, "PENSTOCK_PACKAGE_URL")}
	called := map[string]bool{}
	for number, one := range steps {
		where := fmt.Sprintf("step %d, %s", number, one.Call)
		called[one.Call] = true
		reply := carriedOut(t, where, client, number, one, variables)
		if difference := missing(reply, filled(one.Expect, variables), "reply"); one.Code == "" && difference != "" {
			t.Fatalf("%s: %s", where, difference)
		}
		for name, path := range one.Save {
			variables[name] = fmt.Sprint(found(reply, path))
		}
	}
	for _, service := range served(t) {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			if name := fmt.Sprintf("%s/%s", service.FullName(), method.Name()); !called[name] {
				t.Errorf("no step calls %s", name)
			}
		}
	}
}

// TestUnserved finds the services that are declared and, as upstream, not served answered with UNIMPLEMENTED.
func TestUnserved(t *testing.T) {
	client, err := penstock.Dial(required(t, "PENSTOCK_GRPC"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, service := range declared(false) {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			name := fmt.Sprintf("/%s/%s", service.FullName(), method.Name())
			err := client.Conn.Invoke(t.Context(), name, message(t, method.Input()), message(t, method.Output()))
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDeadline finds the default deadline on calls whose context has none.
func TestDeadline(t *testing.T) {
	client, err := penstock.Dial(required(t, "PENSTOCK_GRPC"), penstock.WithDeadline(time.Nanosecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, err := range client.AllRuns(context.Background(), &v2beta1.ListRunsRequest{}) {
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("%v", err)
		}
	}
	for _, err := range client.AllTasks(context.Background(), &v1.ListTasksRequest{RunId: "any"}) {
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("%v", err)
		}
	}
}

func carriedOut(t *testing.T, where string, client *penstock.Client, number int, one step, variables map[string]string) any {
	t.Helper()
	request, _ := filled(one.Request, variables).(map[string]any)
	for until := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		reply, err := call(t, client, one.Call, request, fmt.Sprintf("go-%d", number))
		if code := codeName(err); code != one.Code {
			t.Fatalf("%s: %q instead of %q: %v", where, code, one.Code, err)
		}
		waiting := false
		for path, values := range one.Until {
			waiting = waiting || !slices.Contains(values, found(reply, path))
		}
		if !waiting || time.Now().After(until) {
			return reply
		}
	}
}

func call(t *testing.T, client *penstock.Client, name string, request map[string]any, requestID string) (any, error) {
	t.Helper()
	service, method, _ := strings.Cut(name, "/")
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + method))
	if err != nil {
		t.Fatal(err)
	}
	described := descriptor.(protoreflect.MethodDescriptor)
	sent := message(t, described.Input())
	text, _ := json.Marshal(request)
	if err := protojson.Unmarshal(text, sent); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", requestID)
	stub := reflect.ValueOf(stubs(client)[service]).MethodByName(method)
	results := stub.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(sent)})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	if !described.IsStreamingServer() {
		return document(t, results[0].Interface().(proto.Message)), nil
	}
	return streamed(t, results[0])
}

func streamed(t *testing.T, stream reflect.Value) (any, error) {
	var first map[string]any
	for count := 0; ; count++ {
		results := stream.MethodByName("Recv").Call(nil)
		if err, failed := results[1].Interface().(error); failed {
			if errors.Is(err, io.EOF) {
				first["messages"] = float64(count)
				return first, nil
			}
			return nil, err
		}
		if count == 0 {
			first = document(t, results[0].Interface().(proto.Message))
		}
	}
}

func stubs(client *penstock.Client) map[string]any {
	const v2 = "kubeflow.pipelines.backend.api.v2beta1."
	var conn grpc.ClientConnInterface = client.Conn
	return map[string]any{
		v2 + "ExperimentService":            client.Experiments,
		v2 + "PipelineService":              client.Pipelines,
		v2 + "RunService":                   client.Runs,
		v2 + "RecurringRunService":          client.RecurringRuns,
		"penstock.v1.InsightService":        client.Insight,
		"penstock.v1.WatchService":          client.Watches,
		"penstock.v1.PipelineUploadService": client.Uploads,
		"penstock.v1.AccessService":         client.Access,
		"penstock.v1.PoolService":           client.Pools,
		"api.AuthService":                   v1beta1.NewAuthServiceClient(conn),
		"api.ExperimentService":             v1beta1.NewExperimentServiceClient(conn),
		"api.JobService":                    v1beta1.NewJobServiceClient(conn),
		"api.PipelineService":               v1beta1.NewPipelineServiceClient(conn),
		"api.RunService":                    v1beta1.NewRunServiceClient(conn),
		"api.TaskService":                   v1beta1.NewTaskServiceClient(conn),
		"api.VisualizationService":          v1beta1.NewVisualizationServiceClient(conn),
	}
}

var unserved = []string{"AuthService", "VisualizationService", "HealthzService", "DummyFilterService", "ReportService"}

func served(t *testing.T) []protoreflect.ServiceDescriptor {
	services := declared(true)
	if len(services) != len(stubs(&penstock.Client{})) {
		t.Fatalf("%d services are declared and %d have stubs here", len(services), len(stubs(&penstock.Client{})))
	}
	return services
}

// declared gives the services of the public API that are served, or those that are not.
func declared(areServed bool) []protoreflect.ServiceDescriptor {
	var services []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			isUnserved := strings.HasSuffix(string(file.Package()), "v2beta1") &&
				slices.Contains(unserved, string(service.Name()))
			if strings.HasPrefix(file.Path(), "penstock_api/") && isUnserved != areServed {
				services = append(services, service)
			}
		}
		return true
	})
	return services
}

func message(t *testing.T, descriptor protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

func document(t *testing.T, message proto.Message) map[string]any {
	t.Helper()
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func codeName(err error) string {
	if err == nil {
		return ""
	}
	words := regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(status.Code(err).String(), "${1}_${2}")
	return strings.ToUpper(words)
}

func found(value any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch holder := value.(type) {
		case map[string]any:
			value = holder[part]
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index >= len(holder) {
				return nil
			}
			value = holder[index]
		default:
			return nil
		}
	}
	return value
}

// missing says what of wanted is not in value, nothing when all is.
func missing(value, wanted any, place string) string {
	switch wanted := wanted.(type) {
	case map[string]any:
		holder, _ := value.(map[string]any)
		for key, item := range wanted {
			if difference := missing(holder[key], item, place+"."+key); difference != "" {
				return difference
			}
		}
		return ""
	case []any:
		holder, _ := value.([]any)
		for index, item := range wanted {
			if index >= len(holder) {
				return fmt.Sprintf("%s has %d items, wanted %d", place, len(holder), len(wanted))
			}
			if difference := missing(holder[index], item, fmt.Sprintf("%s.%d", place, index)); difference != "" {
				return difference
			}
		}
		return ""
	}
	if !reflect.DeepEqual(value, wanted) {
		return fmt.Sprintf("%s is %v, wanted %v", place, value, wanted)
	}
	return ""
}

func filled(value any, variables map[string]string) any {
	switch value := value.(type) {
	case string:
		return variable.ReplaceAllStringFunc(value, func(match string) string {
			return variables[variable.FindStringSubmatch(match)[1]]
		})
	case map[string]any:
		copied := map[string]any{}
		for key, item := range value {
			copied[key] = filled(item, variables)
		}
		return copied
	case []any:
		copied := make([]any, len(value))
		for index, item := range value {
			copied[index] = filled(item, variables)
		}
		return copied
	}
	return value
}

func required(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: these tests need a live server; `make test` starts one for them", name)
	}
	return value
}
