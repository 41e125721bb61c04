/** 比较运行页面的简体中文文字。 */
import type { compareEn } from "./compare.en";

export const compareZh: Readonly<Record<keyof typeof compareEn, string>> = {
  compare: "比较",
  compareRuns: "比较运行",
  onlyDifferences: "仅显示差异",
  nothingDiffers: "这些运行的参数和指标完全相同",
  nothingToCompare: "这些运行既没有参数，也没有指标",
  differs: "有差异",
  differenceTo: "与基线之差",
  baseline: "基线",
  takeOut: "移出比较",
  metrics: "指标",
  chooseRuns: "目前没有可比较的运行。请在列表中选择 2 至 {most} 个运行，然后点击“比较”；或使用命令",
  toTheRuns: "前往运行列表",
  rocCurves: "ROC 曲线",
  confusionMatrices: "混淆矩阵",
};
