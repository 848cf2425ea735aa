//! The configuration file: an INI file as rtpengine reads it.
//!
//! Values are taken as they stand: a backslash is a backslash, a quote a quote, and `;` separates values instead of beginning a
//! comment.

use std::fs;
use std::path::{Path, PathBuf};

use ini::{Ini, ParseOption};

use super::options;
use super::{ConfigError, Origin, Setting, Settings};

/// Where a file is looked for when none is named; the first that exists is read.
const DEFAULT_FILES: [&str; 2] = ["/etc/tandem/tandem.conf", "/etc/rtpengine/rtpengine.conf"];
/// The sections that are looked for when none is named.
const DEFAULT_SECTIONS: [&str; 2] = ["tandem", "rtpengine"];

/// Reads the file named by the settings so far, or a default one, and appends what it says.
/// Gives the file's name, for the log.
pub fn read_into(settings: &mut Settings) -> Result<Option<PathBuf>, ConfigError> {
    let path = match settings.last("config-file") {
        Some(name) if name.eq_ignore_ascii_case("none") => return Ok(None),
        Some(name) => PathBuf::from(name),
        None => {
            let existing = DEFAULT_FILES
                .iter()
                .map(Path::new)
                .find(|path| path.exists());
            match existing {
                Some(path) => path.to_owned(),
                None => return Ok(None),
            }
        }
    };
    let section = settings.last("config-section").map(str::to_owned);
    let text = fs::read_to_string(&path).map_err(|error| ConfigError::File {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    parse(&text, section.as_deref(), settings).map_err(|problem| ConfigError::File {
        path: path.clone(),
        problem,
    })?;
    Ok(Some(path))
}

fn parse(text: &str, section: Option<&str>, settings: &mut Settings) -> Result<(), String> {
    let as_written = ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        ..ParseOption::default()
    };
    let ini = Ini::load_from_str_opt(text, as_written).map_err(|error| error.to_string())?;
    let entries = match section {
        Some(name) => ini
            .section(Some(name))
            .ok_or_else(|| format!("there is no section [{name}]"))?,
        None => match DEFAULT_SECTIONS
            .iter()
            .find_map(|name| ini.section(Some(*name)))
        {
            Some(entries) => entries,
            None => return Ok(()),
        },
    };
    for (name, value) in entries.iter() {
        match options::by_name(name.trim()) {
            Some(option) => settings.list.push(Setting {
                option,
                value: value.trim().to_owned(),
                origin: Origin::File,
            }),
            None => settings.unknown.push(name.trim().to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, section: Option<&str>) -> Settings {
        let mut settings = Settings::default();
        parse(text, section, &mut settings).unwrap();
        settings
    }

    #[test]
    fn a_packaged_file_is_understood() {
        let settings = parsed(
            "[rtpengine]\n\
             # a comment\n\
             table = 0\n\
             interface = pub/192.0.2.1!198.51.100.1;priv/10.0.0.1\n\
             listen-ng = localhost:2223\n\
             recording-dir = /var/spool\\x \"quoted\"\n\
             made-up = 1\n\
             [rtpengine-testing]\n\
             table = 7\n",
            None,
        );
        let value = |name| settings.last(name).unwrap();
        assert_eq!(
            value("interface"),
            "pub/192.0.2.1!198.51.100.1;priv/10.0.0.1"
        );
        assert_eq!(value("table"), "0");
        assert_eq!(value("recording-dir"), "/var/spool\\x \"quoted\"");
        assert_eq!(settings.unknown, ["made-up"]);
    }

    #[test]
    fn our_own_section_comes_before_rtpengines() {
        let text = "[rtpengine]\ntimeout = 1\n[tandem]\ntimeout = 2\n";
        assert_eq!(parsed(text, None).last("timeout"), Some("2"));
        assert_eq!(parsed(text, Some("rtpengine")).last("timeout"), Some("1"));
    }

    #[test]
    fn a_named_section_must_be_there() {
        let mut settings = Settings::default();
        let error = parse("[rtpengine]\n", Some("tost"), &mut settings).unwrap_err();
        assert_eq!(error, "there is no section [tost]");
    }

    #[test]
    fn a_named_file_must_be_there_and_none_reads_nothing() {
        let mut settings = Settings::default();
        let option = options::by_name("config-file").unwrap();
        settings.list.push(Setting {
            option,
            value: "/nonexistent/file".to_owned(),
            origin: Origin::CommandLine,
        });
        let error = read_into(&mut settings).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/file"), "{error}");
        settings.list[0].value = "none".to_owned();
        assert_eq!(read_into(&mut settings).unwrap(), None);
    }
}
