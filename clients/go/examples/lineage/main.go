// Shows what the tasks of a run read and wrote, from ML Metadata.
//
// Example: go run ./examples/lineage -server 127.0.0.1:8887 RUN_ID
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	penstock "penstock.dev/go"
	"penstock.dev/go/api/ml_metadata"
)

func main() {
	server := flag.String("server", "127.0.0.1:8887", "HOST:PORT of the server")
	flag.Parse()
	client, err := penstock.Dial(*server)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	kind, run := "system.PipelineRun", flag.Arg(0)
	found, err := client.Metadata.GetContextByTypeAndName(ctx,
		&ml_metadata.GetContextByTypeAndNameRequest{TypeName: &kind, ContextName: &run})
	if err != nil || found.GetContext() == nil {
		log.Fatalf("no lineage of run %q: %v", run, err)
	}
	id := found.GetContext().Id
	executions, err := client.Metadata.GetExecutionsByContext(ctx,
		&ml_metadata.GetExecutionsByContextRequest{ContextId: id})
	if err != nil {
		log.Fatal(err)
	}
	artifacts, err := client.Metadata.GetArtifactsByContext(ctx,
		&ml_metadata.GetArtifactsByContextRequest{ContextId: id})
	if err != nil {
		log.Fatal(err)
	}
	uris := map[int64]string{}
	for _, artifact := range artifacts.GetArtifacts() {
		uris[artifact.GetId()] = artifact.GetUri()
	}
	var ids []int64
	names := map[int64]string{}
	for _, execution := range executions.GetExecutions() {
		ids = append(ids, execution.GetId())
		names[execution.GetId()] = execution.GetCustomProperties()["task_name"].GetStringValue()
	}
	events, err := client.Metadata.GetEventsByExecutionIDs(ctx,
		&ml_metadata.GetEventsByExecutionIDsRequest{ExecutionIds: ids})
	if err != nil {
		log.Fatal(err)
	}
	for _, event := range events.GetEvents() {
		fmt.Println(names[event.GetExecutionId()], event.GetType(), uris[event.GetArtifactId()])
	}
}
