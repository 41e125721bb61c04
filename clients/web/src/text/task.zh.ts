/** The texts of what the panel of a task asks for when it is opened, in Simplified Chinese. */
import type { taskEn } from "./task.en";

export const taskZh: Readonly<Record<keyof typeof taskEn, string>> = {
  eventLog: "事件日志",
  cacheAnswer: "缓存",
  otherRun: "产生此结果的任务",
  differences: "不同之处",
  partOfKey: "键的组成部分",
  thisTask: "此任务",
  nearestResult: "最接近的结果",
  pod: "Pod 及其事件",
  noEvents: "没有事件",
  events: "事件",
  time: "时间",
  reason: "原因",
  message: "消息",
  waitingTasks: "等待中的任务",
  moreWaiting: "另有 {count} 个",
  parameters: "参数",
  searchLog: "包含…的行",
  linesFound: "{count} 行",
  wrapLines: "自动换行",
  toTheEnd: "跳到末尾",
};
