/** The texts of the keyboard's dialog, in English. */
export const keysEn = {
  shortcuts: "Keyboard shortcuts",
  keys: "Keys",
  meaning: "Meaning",
  where: "Where",
  everyPage: "Every page",
  runPage: "Page of a run",
  helpKey: "Show this list",
  searchKey: "Go to the search field",
  nextKey: "Next task",
  previousKey: "Previous task",
  firstKey: "First task",
  lastKey: "Last task",
  unfoldKey: "Unfold",
  foldKey: "Fold, or go to what the task is in",
  openKey: "Show the task beside the list",
  closeKey: "Close what is beside the list",
} as const;
