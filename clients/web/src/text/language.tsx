/** The reader's language: the one chosen here, else the browser's, else English. */
import { useLocalStorage } from "@mantine/hooks";
import { createContext, useContext, useEffect, type ReactNode } from "react";

import { en, type Catalogue, type Key } from "./en";
import { zh } from "./zh";

export const LANGUAGES = { en: "English", "zh-CN": "简体中文" } as const;
export type Language = keyof typeof LANGUAGES;
const CATALOGUES: Record<Language, Catalogue> = { en, "zh-CN": zh };

interface Spoken {
  readonly language: Language;
  readonly choose: (language: Language) => void;
}

const Context = createContext<Spoken>({ language: "en", choose: () => undefined });

export function Spoken({ children }: { children: ReactNode }) {
  const browsers = navigator.language.startsWith("zh") ? "zh-CN" : "en";
  const [kept, choose] = useLocalStorage<Language>({ key: "penstock-language", defaultValue: browsers });
  const language = kept in CATALOGUES ? kept : "en";
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  return <Context value={{ language, choose }}>{children}</Context>;
}

export const useLanguage = (): Spoken => useContext(Context);

/** Gives the text of a key; a word that is no key, such as a state of a newer server, as it is. */
export function useText(): (key: Key) => string {
  const texts = CATALOGUES[useLanguage().language];
  return (key) => texts[key] ?? key;
}
