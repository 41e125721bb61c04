/** 流水线页面的简体中文文字。 */
import type { pipelinesEn } from "./pipelines.en";

export const pipelinesZh: Readonly<Record<keyof typeof pipelinesEn, string>> = {
  pipelines: "流水线",
  description: "描述",
  newestVersion: "最新版本",
  created: "创建时间",
  noPipelines: "没有符合条件的流水线。可在此添加，或使用命令：penstock pipelines upload pipeline.yaml --name train",
  addPipeline: "添加流水线",
  addVersion: "添加版本",
  packageFrom: "已编译流水线的来源",
  fromFile: "文件",
  fromUrl: "网址",
  chooseFile: "选择文件",
  fileKinds: "YAML 或 JSON，或其 zip、tar.gz 压缩包",
  packageUrl: "文件的网址",
  packageUrlHint: "由服务器下载：服务器必须能访问该网址",
  nameFallback: "留空则使用文件名",
  codeSource: "代码来源",
  codeSourceHint: "源代码所在位置，例如 https://git.example.com/team/train",
  add: "添加",
  cancel: "取消",
  required: "此项为必填",
  notDone: "操作未完成",
};
