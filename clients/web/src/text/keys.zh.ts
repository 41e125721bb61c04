/** The texts of the keyboard's dialog, in Simplified Chinese. */
import type { keysEn } from "./keys.en";

export const keysZh: Readonly<Record<keyof typeof keysEn, string>> = {
  shortcuts: "键盘快捷键",
  keys: "按键",
  meaning: "作用",
  where: "适用页面",
  everyPage: "所有页面",
  runPage: "运行详情页",
  helpKey: "显示此列表",
  searchKey: "跳到搜索框",
  nextKey: "下一个任务",
  previousKey: "上一个任务",
  firstKey: "第一个任务",
  lastKey: "最后一个任务",
  unfoldKey: "展开",
  foldKey: "折叠，或跳到上一级任务",
  openKey: "在列表旁显示任务详情",
  closeKey: "关闭列表旁的详情",
};
