/** @file `selm completion SHELL`: a script that lets the shell complete commands and options. */
import { Argument, Command } from 'commander';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** The command; `program` gives the command line that is completed. */
export function completionCommand(program: () => Promise<Command>): Command {
  return new Command('completion')
    .description('print a script that completes commands, options and files in your shell')
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .addHelpText(
      'after',
      '\nExample:\n  $ selm completion bash > ~/.local/share/bash-completion/completions/selm\n  $ selm completion fish > ~/.config/fish/completions/selm.fish\n  $ eval "$(selm completion zsh)"',
    )
    .action(async (shell: Shell) => console.log(completionScript(await program(), shell)));
}

/** A command as its words (`data audit`), with the words that may come next. */
interface Place {
  words: string;
  next: string[];
}

/** The script for a shell. Files are completed wherever no command is expected. */
export function completionScript(program: Command, shell: Shell): string {
  const places = placesOf(program, []);
  switch (shell) {
    case 'bash':
      return bashScript(places);
    case 'zsh':
      // zsh runs bash's functions for completion.
      return `autoload -U +X bashcompinit && bashcompinit\n${bashScript(places)}`;
    case 'fish':
      return fishScript(program);
    default:
      return shell satisfies never;
  }
}

function placesOf(command: Command, words: readonly string[]): Place[] {
  const options = command.options.filter(({ hidden }) => !hidden).flatMap(({ long }) => long ?? []);
  const next = [...command.commands.map((each) => each.name()), ...options, '--help'];
  return [
    { words: words.join(' '), next },
    ...command.commands.flatMap((each) => placesOf(each, [...words, each.name()])),
  ];
}

function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ words, next }) => `    '${words}') next='${next.join(' ')}' ;;`);
  const known = places.map(({ words }) => `'${words}'`).filter((words) => words !== "''");
  return `_selm() {
  local current="\${COMP_WORDS[COMP_CWORD]}" place='' word next
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${place:+$place }$word" in
      ${known.join(' | ')}) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$next" -- "$current"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _selm selm`;
}

function fishScript(program: Command): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const names = program.commands.map((each) => each.name()).join(' ');
  const commands = program.commands.map(
    (each) =>
      `complete -c selm -n "not __fish_seen_subcommand_from ${names}" -a ${each.name()} -d ${quoted(each.description())}`,
  );
  const below = program.commands.flatMap((command) => {
    const seen = `-n "__fish_seen_subcommand_from ${command.name()}"`;
    return [
      ...command.commands.map((each) => `complete -c selm ${seen} -a ${each.name()} -d ${quoted(each.description())}`),
      ...command.options.flatMap(({ long, hidden, description }) =>
        long === undefined || hidden
          ? []
          : [`complete -c selm ${seen} -l ${long.replace(/^--/, '')} -d ${quoted(description)}`],
      ),
    ];
  });
  return [...commands, ...below].join('\n');
}
