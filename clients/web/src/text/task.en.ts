/** English texts of what the panel of a task asks for when it is opened. */
export const taskEn = {
  eventLog: "Event log",
  cacheAnswer: "Cache",
  otherRun: "The task that made this result",
  differences: "What differs",
  partOfKey: "Part of the key",
  thisTask: "This task",
  nearestResult: "Nearest result",
  pod: "Pod and its events",
  noEvents: "There are no events",
  events: "Events",
  time: "Time",
  reason: "Reason",
  message: "Message",
  waitingTasks: "Tasks that wait",
  moreWaiting: "and {count} more",
  parameters: "Parameters",
} as const;
