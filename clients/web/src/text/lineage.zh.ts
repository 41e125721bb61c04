/** 制品列表与谱系页面的简体中文文字。 */
import type { lineageEn } from "./lineage.en";

export const lineageZh: Readonly<Record<keyof typeof lineageEn, string>> = {
  artifactList: "制品",
  anyType: "任意类型",
  noArtifacts: "没有匹配的制品。有输出的任务会产生制品；运行一个流水线：",
  lineage: "谱系",
  lineageOf: "{name} 的谱系",
  direction: "方向",
  both: "双向",
  backwards: "来源",
  forwards: "用途",
  lineageDepth: "距离",
  tasksAway: "最多相隔任务数：{count}",
  lineageHint: "单击查看卡片内容，双击沿其谱系前进。",
  lineageTruncated: "还有未显示的内容：距离更远、数量过多，或位于您无权读取的命名空间。",
  thereIsMore: "与其相关的内容多于所显示的",
  goToLineage: "查看其谱系",
  makerDeleted: "已删除",
  makerDeletedMeans: "产生它的运行已被删除，因此只知道哪些任务使用过它。",
  noLineage: "请选择一个制品，或在运行的任务面板中选择一个任务，以查看它由什么产生、用于什么。",
  byTerminal: "在终端中：",
  container: "容器",
};
