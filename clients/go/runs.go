package penstock

import (
	"context"
	"iter"
	"time"

	"penstock.dev/go/api/v1"
	"penstock.dev/go/api/v2beta1"
)

const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 5 * time.Second

	tasksOfAPage = 500
)

// Ended says whether a run in this state stays in it, unless it is retried.
func Ended(state v2beta1.RuntimeState) bool {
	switch state {
	case v2beta1.RuntimeState_SUCCEEDED, v2beta1.RuntimeState_FAILED,
		v2beta1.RuntimeState_SKIPPED, v2beta1.RuntimeState_CANCELED:
		return true
	}
	return false
}

// WaitForRun asks for a run until it has ended, at growing intervals, and gives it as it is then, without its tasks and
// its document. It ends early with the context.
func (c *Client) WaitForRun(ctx context.Context, runID string) (*v2beta1.Run, error) {
	request := &v2beta1.GetRunRequest{RunId: runID, View: v2beta1.GetRunRequest_BASIC.Enum()}
	for pause := firstPoll; ; pause = min(pause*2, lastPoll) {
		run, err := c.Runs.GetRun(ctx, request)
		if err != nil || Ended(run.GetState()) {
			return run, err
		}
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// AllRuns gives every run that a request asks for, page after page. An error is the last thing it gives.
func (c *Client) AllRuns(ctx context.Context, request *v2beta1.ListRunsRequest) iter.Seq2[*v2beta1.Run, error] {
	return pages(func(token string) ([]*v2beta1.Run, string, error) {
		request.PageToken = token
		reply, err := c.Runs.ListRuns(ctx, request)
		return reply.GetRuns(), reply.GetNextPageToken(), err
	})
}

// AllPipelines gives every pipeline that a request asks for, like AllRuns.
func (c *Client) AllPipelines(
	ctx context.Context, request *v2beta1.ListPipelinesRequest,
) iter.Seq2[*v2beta1.Pipeline, error] {
	return pages(func(token string) ([]*v2beta1.Pipeline, string, error) {
		request.PageToken = token
		reply, err := c.Pipelines.ListPipelines(ctx, request)
		return reply.GetPipelines(), reply.GetNextPageToken(), err
	})
}

// AllExperiments gives every experiment that a request asks for, like AllRuns.
func (c *Client) AllExperiments(
	ctx context.Context, request *v2beta1.ListExperimentsRequest,
) iter.Seq2[*v2beta1.Experiment, error] {
	return pages(func(token string) ([]*v2beta1.Experiment, string, error) {
		request.PageToken = token
		reply, err := c.Experiments.ListExperiments(ctx, request)
		return reply.GetExperiments(), reply.GetNextPageToken(), err
	})
}

// AllTasks gives every task that a request asks for, like AllRuns.
func (c *Client) AllTasks(ctx context.Context, request *v1.ListTasksRequest) iter.Seq2[*v1.Task, error] {
	if request.PageSize == 0 {
		request.PageSize = tasksOfAPage
	}
	return pages(func(token string) ([]*v1.Task, string, error) {
		request.PageToken = token
		reply, err := c.Insight.ListTasks(ctx, request)
		return reply.GetTasks(), reply.GetNextPageToken(), err
	})
}

func pages[T any](fetch func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			found, next, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, one := range found {
				if !yield(one, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}
