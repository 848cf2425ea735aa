//! The command line: `--name=value`, `--name value`, `-n value`, `-fE`.
//!
//! Names nobody knows are taken out before clap sees them, because clap does not know what the file may hold and would name only
//! the first; everything else is clap's work.

use clap::{Arg, ArgAction, Command};

use super::options::{self, Meaning, Opt, Takes};
use super::{ConfigError, Origin, Setting, Settings, Unknown};

/// What the command line asks for.
#[derive(Debug)]
pub enum Wish {
    /// Run with these settings.
    Run(Settings),
    /// Say what is wrong with these settings.
    Check(Settings),
    /// Print this text and exit.
    Print(String),
}

/// Reads the command line, without the program's own name.
pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Wish, ConfigError> {
    let mut settings = Settings::default();
    let known = set_unknown_aside(arguments.into_iter().collect(), &mut settings.unknown);
    let matches = command()
        .try_get_matches_from(known)
        .map_err(|error| ConfigError::CommandLine(error.to_string()))?;
    if matches.get_flag_of("help") {
        return Ok(Wish::Print(command().render_help().to_string()));
    }
    if matches.get_flag_of("version") {
        return Ok(Wish::Print(format!(
            "tandem {}\n",
            env!("CARGO_PKG_VERSION")
        )));
    }
    if matches.get_flag_of("codecs") {
        return Ok(Wish::Print(CODECS.to_owned()));
    }
    for firewall in ["nftables-start", "nftables-stop", "nftables-status"] {
        if matches.get_flag_of(firewall) {
            return Ok(Wish::Print(format!(
                "{firewall}: there is no kernel module, and so no firewall rule for it\n"
            )));
        }
    }
    for option in options::all() {
        for value in matches.get_many::<String>(option.name).unwrap_or_default() {
            settings.list.push(Setting {
                option,
                value: value.clone(),
                origin: Origin::CommandLine,
            });
        }
    }
    if matches.get_flag_of("check-config") {
        return Ok(Wish::Check(settings));
    }
    Ok(Wish::Run(settings))
}

/// The answer to `--codecs`.
const CODECS: &str = "Every codec is passed on. Opus, PCMU, PCMA, G722 and L16 are transcoded.\n";

/// Whether a switch was given and not switched off.
trait Switch {
    fn get_flag_of(&self, name: &str) -> bool;
}

impl Switch for clap::ArgMatches {
    fn get_flag_of(&self, name: &str) -> bool {
        self.get_many::<String>(name)
            .is_some_and(|mut values| values.all(|value| value != "false"))
    }
}

/// Splits off what clap would refuse: options that are in no table, with their value, and stray words.
fn set_unknown_aside(arguments: Vec<String>, unknown: &mut Vec<Unknown>) -> Vec<String> {
    let mut known = Vec::new();
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        let option = if let Some(long) = argument.strip_prefix("--") {
            options::by_name(long.split('=').next().unwrap_or(long))
        } else if let Some(letter) = argument.strip_prefix('-').and_then(|s| s.chars().next()) {
            options::by_letter(letter)
        } else {
            None
        };
        let Some(option) = option else {
            let name = argument.split('=').next().unwrap_or(&argument);
            unknown.push(Unknown {
                name: name.to_owned(),
                place: None,
                tolerated: false,
            });
            // `--unknown value`: a value does not begin with a dash, and we take no words that are not values.
            if argument.starts_with('-') && !argument.contains('=') {
                rest.next_if(|next| !next.starts_with('-'));
            }
            continue;
        };
        let needs_next = needs_next_word(&argument, option);
        known.push(spelled_as_known(argument, option));
        if needs_next && let Some(value) = rest.next() {
            known.push(value);
        }
    }
    known
}

/// Whether the value of this option is the next word.
fn needs_next_word(argument: &str, option: &Opt) -> bool {
    if option.takes == Takes::Nothing {
        // `-fo 60`: the last letter of a bundle may want a value.
        return !argument.starts_with("--")
            && argument.chars().next_back().is_some_and(|letter| {
                options::by_letter(letter).is_some_and(|last| last.takes != Takes::Nothing)
            })
            && !argument.contains('=');
    }
    if argument.starts_with("--") {
        !argument.contains('=')
    } else {
        argument.chars().count() == 2
    }
}

/// `--port_min=1` as clap knows it, `--port-min=1`. Values keep their underscores.
fn spelled_as_known(argument: String, option: &Opt) -> String {
    if !argument.starts_with("--") {
        return argument;
    }
    match argument.split_once('=') {
        Some((_, value)) => format!("--{}={value}", option.name),
        None => format!("--{}", option.name),
    }
}

fn command() -> Command {
    let inert: Vec<&str> = options::all()
        .filter(|option| matches!(option.meaning, Meaning::Accepted(_)))
        .map(|option| option.name)
        .collect();
    let mut command = Command::new("tandem")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .about("Media relay between WhatsApp Business Calling and SIP; speaks rtpengine's NG protocol.")
        .override_usage(
            "tandem --interface=ADDRESS --listen-ng=[ADDRESS:]PORT [OPTIONS]\n       \
             tandem ctl [-ip ADDRESS[:PORT]] COMMAND...",
        )
        .after_help(format!(
            "Each option may also stand in the configuration file as `name = value`; the command line wins.\n\
             These options of rtpengine are accepted and have no effect (docs/options.md says why): {}.",
            inert.join(", ")
        ));
    for option in options::all() {
        command = command.arg(argument(option));
    }
    command
}

fn argument(option: &'static Opt) -> Arg {
    let mut arg = Arg::new(option.name)
        .long(option.name)
        .action(ArgAction::Append);
    if let Some(letter) = option.short {
        arg = arg.short(letter);
    }
    arg = match option.takes {
        Takes::Nothing => arg
            .num_args(0..=1)
            .require_equals(true)
            .hide_possible_values(true)
            .default_missing_value("true"),
        Takes::One(value) | Takes::Many(value) => arg
            .num_args(1)
            .allow_hyphen_values(true)
            .value_name(if value.is_empty() { "VALUE" } else { value }),
    };
    match option.meaning {
        Meaning::Works(help) => {
            if option.takes == Takes::Nothing {
                // The optional `=true` would only clutter the help.
                arg = arg.value_name("BOOL");
            }
            arg.help(help)
        }
        Meaning::Accepted(_) | Meaning::Refused(_) => arg.hide(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Settings {
        let words = line.split_whitespace().map(str::to_owned);
        match read(words).unwrap() {
            Wish::Run(settings) => settings,
            other => panic!("{other:?}"),
        }
    }

    fn pairs(line: &str) -> Vec<(&'static str, String)> {
        let list = settings(line).list;
        list.into_iter().map(|s| (s.option.name, s.value)).collect()
    }

    fn pair(name: &'static str, value: &str) -> (&'static str, String) {
        (name, value.to_owned())
    }

    #[test]
    fn the_usual_ways_to_write_an_option_are_the_same() {
        let expected = vec![pair("port-min", "30000")];
        for line in [
            "--port-min=30000",
            "--port-min 30000",
            "-m 30000",
            "-m30000",
            "--port_min=30000",
        ] {
            assert_eq!(pairs(line), expected, "{line}");
        }
    }

    #[test]
    fn a_value_may_begin_with_a_dash() {
        assert_eq!(pairs("-t -1"), vec![pair("table", "-1")]);
        assert_eq!(
            pairs("--max-sessions -1 -f"),
            vec![pair("max-sessions", "-1"), pair("foreground", "true")]
        );
    }

    #[test]
    fn switches_are_bundled_and_switched_off() {
        assert_eq!(
            pairs("-fE"),
            vec![pair("foreground", "true"), pair("log-stderr", "true")]
        );
        assert_eq!(
            pairs("--foreground=false"),
            vec![pair("foreground", "false")]
        );
        assert_eq!(
            pairs("-fo 20"),
            vec![pair("timeout", "20"), pair("foreground", "true")]
        );
    }

    #[test]
    fn a_repeated_option_is_kept_in_order() {
        assert_eq!(
            pairs("-i pub/192.0.2.1!198.51.100.1 --interface=priv/10.0.0.1"),
            vec![
                pair("interface", "pub/192.0.2.1!198.51.100.1"),
                pair("interface", "priv/10.0.0.1")
            ]
        );
    }

    #[test]
    fn an_unknown_option_is_set_aside_with_its_value() {
        let settings = settings("--new-in-27 yes --other=1 -Z stray --port-min=1");
        let unknown: Vec<&str> = settings.unknown.iter().map(|u| u.name.as_str()).collect();
        assert_eq!(unknown, ["--new-in-27", "--other", "-Z"]);
        assert!(settings.unknown.iter().all(|unknown| !unknown.tolerated));
        assert_eq!(settings.list.len(), 1);
    }

    #[test]
    fn a_missing_value_is_an_error_that_names_the_option() {
        let error = read(["--port-min".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("--port-min"), "{error}");
    }

    #[test]
    fn help_lists_what_acts_and_names_what_does_not() {
        let Wish::Print(text) = read(["--help".to_owned()]).unwrap() else {
            panic!("no help");
        };
        assert!(text.contains("--hold-ms <MILLISECONDS>"), "{text}");
        assert!(text.contains("iptables-chain"), "{text}");
        assert!(!text.contains("--iptables-chain"), "{text}");
        let Wish::Print(version) = read(["-v".to_owned()]).unwrap() else {
            panic!("no version");
        };
        assert!(version.starts_with("tandem "), "{version}");
    }
}
