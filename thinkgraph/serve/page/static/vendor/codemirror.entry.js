// What codemirror.js is built from; nobody who installs thinkgraph builds it. To renew it:
//   npm install @codemirror/{autocomplete,commands,language,lang-yaml,lint,state,view} @lezer/highlight esbuild
//   npx esbuild codemirror.entry.js --bundle --minify --format=esm --legal-comments=none --outfile=codemirror.js
export { EditorState } from "@codemirror/state";
export { EditorView, drawSelection, keymap, lineNumbers } from "@codemirror/view";
export { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
export { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
export { yaml } from "@codemirror/lang-yaml";
export { forceLinting, lintGutter, linter, lintKeymap } from "@codemirror/lint";
export { autocompletion, completionKeymap, startCompletion } from "@codemirror/autocomplete";
export { tags } from "@lezer/highlight";
