/** English texts of the page that compares runs. */
export const compareEn = {
  compare: "Compare",
  compareRuns: "Compare runs",
  onlyDifferences: "Only what differs",
  nothingDiffers: "All of them have the same parameters and metrics",
  nothingToCompare: "They have neither parameters nor metrics",
  differs: "differs",
  differenceTo: "Difference to the baseline",
  baseline: "Baseline",
  takeOut: "Take out",
  metrics: "Metrics",
  chooseRuns: "There is nothing to compare yet. Select 2 to {most} runs in the list, then press “Compare”; or",
  toTheRuns: "To the runs",
  rocCurves: "ROC curves",
  confusionMatrices: "Confusion matrices",
} as const;
