/** The texts of attempts, their phases and the critical path, in Simplified Chinese. */
import type { attemptsEn } from "./attempts.en";

export const attemptsZh: Readonly<Record<keyof typeof attemptsEn, string>> = {
  queued: "排队",
  scheduling: "调度",
  preparing: "准备",
  fetching: "获取输入",
  running: "执行",
  storing: "保存输出",
  concluding: "收尾",
  attempt: "第 {number} 次尝试",
  allAttempts: "所有尝试",
  timeOfAllAttempts: "所有尝试各阶段的用时",
  atOnce: "最多同时 {count} 个",
  dragToZoom: "拖选其中一段即可放大",
  criticalPath: "关键路径",
  criticalPathMeans: "只有缩短其中的任务，运行才会更早结束",
  noCriticalPath: "尚无尝试的信息",
  shareOfRun: "占运行时间的比例",
  failedByUser: "其程序失败",
  failedByInfrastructure: "运行环境出现故障",
  failedByConfiguration: "按现有配置无法运行",
  exitCode: "退出码",
  podName: "Pod",
  node: "节点",
  logOfAttempt: "此次尝试的日志",
  allOf: "显示全部 {count} 个",
};
