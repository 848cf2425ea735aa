//! The configuration file: an INI file as rtpengine reads it.
//!
//! Sections in brackets, `name = value`, comments that begin with `#` at the start of a line.
//! Values are taken as they stand: a backslash is a backslash, a quote a quote, and `;` separates values instead of beginning a
//! comment.
//! Every line keeps its number, because a message that names the line saves the reader a search.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ConfigError, Origin, Place, Setting, Settings, Unknown, options};

/// Where a file is looked for when none is named; the first that exists is read.
const DEFAULT_FILES: [&str; 2] = ["/etc/tandem/tandem.conf", "/etc/rtpengine/rtpengine.conf"];
/// Our own section: here an unknown name is a mistake.
const OWN_SECTION: &str = "tandem";
/// The section of a file that may be shared with rtpengine, which ignores names it does not know.
const SHARED_SECTION: &str = "rtpengine";
/// A file beyond this is no configuration.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A file, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name.
    pub path: PathBuf,
    sections: Vec<Section>,
}

/// `[NAME]` and what follows. A section that is opened twice continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name.
    pub name: String,
    /// The line of its first heading.
    pub line: usize,
    /// What stands in it.
    pub entries: Vec<Entry>,
}

/// `name = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, as written.
    pub name: String,
    /// The value, without the blanks around it.
    pub value: String,
    /// The line.
    pub line: usize,
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |problem: String| ConfigError::File {
            path: path.to_owned(),
            problem,
        };
        let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        if size.len() > LARGEST {
            return Err(failed("is too large for a configuration".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(path, &text).map_err(|(line, problem)| ConfigError::Syntax {
            place: Place {
                path: path.to_owned(),
                line,
            },
            problem,
        })
    }

    fn parse(path: &Path, text: &str) -> Result<Self, (usize, String)> {
        let mut sections: Vec<Section> = Vec::new();
        let mut current = None;
        for (line, written) in (1..).zip(text.lines()) {
            let written = written.trim();
            if written.is_empty() || written.starts_with('#') {
                continue;
            }
            if let Some(name) = written.strip_prefix('[') {
                let name = name.strip_suffix(']').map(str::trim).ok_or_else(|| {
                    (
                        line,
                        format!("`{written}` opens a section and misses its `]`"),
                    )
                })?;
                let known = sections.iter().position(|section| section.name == name);
                current = Some(known.unwrap_or_else(|| {
                    sections.push(Section {
                        name: name.to_owned(),
                        line,
                        entries: Vec::new(),
                    });
                    sections.len() - 1
                }));
                continue;
            }
            let Some((name, value)) = written.split_once('=') else {
                return Err((
                    line,
                    format!("`{written}` is not of the form `name = value`"),
                ));
            };
            let Some(section) = current.and_then(|index: usize| sections.get_mut(index)) else {
                return Err((
                    line,
                    format!("`{written}` stands before the first [section]"),
                ));
            };
            section.entries.push(Entry {
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
                line,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            sections,
        })
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The sections called `PREFIX-NAME`, each with its NAME.
    pub fn sections_of<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Section)> {
        self.sections.iter().filter_map(move |section| {
            let name = section.name.strip_prefix(prefix)?.strip_prefix('-')?;
            Some((name, section))
        })
    }

    /// Where a line is.
    pub fn place(&self, line: usize) -> Place {
        Place {
            path: self.path.clone(),
            line,
        }
    }
}

/// Reads the file named by the settings so far, or a default one, and appends what it says.
pub fn read_into(settings: &mut Settings) -> Result<(), ConfigError> {
    let path = match settings.last("config-file") {
        Some(name) if name.eq_ignore_ascii_case("none") => return Ok(()),
        Some(name) => PathBuf::from(name),
        None => {
            let mut defaults = DEFAULT_FILES.iter().map(Path::new);
            match defaults.find(|path| path.exists()) {
                Some(path) => path.to_owned(),
                None => return Ok(()),
            }
        }
    };
    take(ConfigFile::read(&path)?, settings)
}

fn take(file: ConfigFile, settings: &mut Settings) -> Result<(), ConfigError> {
    let section = match settings.last("config-section") {
        Some(name) => Some(file.section(name).ok_or_else(|| ConfigError::File {
            path: file.path.clone(),
            problem: format!("there is no section [{name}]"),
        })?),
        None => [OWN_SECTION, SHARED_SECTION]
            .iter()
            .find_map(|name| file.section(name)),
    };
    for entry in section.map_or(&[][..], |section| &section.entries) {
        match options::by_name(&entry.name) {
            Some(option) => settings.list.push(Setting {
                option,
                value: entry.value.clone(),
                origin: Origin::File(entry.line),
            }),
            None => settings.unknown.push(Unknown {
                name: entry.name.clone(),
                place: Some(file.place(entry.line)),
                tolerated: section.is_some_and(|section| section.name != OWN_SECTION),
            }),
        }
    }
    settings.file = Some(file);
    Ok(())
}

#[cfg(test)]
impl Settings {
    /// Settings as if `text` were the file.
    pub(super) fn with_file(mut self, text: &str) -> Result<Self, ConfigError> {
        let path = Path::new("/etc/test.conf");
        let file =
            ConfigFile::parse(path, text).map_err(|(line, problem)| ConfigError::Syntax {
                place: Place {
                    path: path.to_owned(),
                    line,
                },
                problem,
            })?;
        take(file, &mut self)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, section: Option<&str>) -> Result<Settings, String> {
        let mut settings = Settings::default();
        if let Some(section) = section {
            settings.list.push(Setting {
                option: options::by_name("config-section").unwrap(),
                value: section.to_owned(),
                origin: Origin::CommandLine,
            });
        }
        settings.with_file(text).map_err(|error| error.to_string())
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
        )
        .unwrap();
        let value = |name| settings.last(name).unwrap();
        assert_eq!(
            value("interface"),
            "pub/192.0.2.1!198.51.100.1;priv/10.0.0.1"
        );
        assert_eq!(value("table"), "0");
        assert_eq!(value("recording-dir"), "/var/spool\\x \"quoted\"");
        assert_eq!(settings.unknown[0].name, "made-up");
        assert_eq!(settings.unknown[0].place.as_ref().unwrap().line, 7);
        assert!(settings.unknown[0].tolerated);
    }

    #[test]
    fn our_own_section_comes_before_rtpengines() {
        let text = "[rtpengine]\ntimeout = 1\n[tandem]\ntimeout = 2\nslip = 1\n";
        let own = parsed(text, None).unwrap();
        assert_eq!(own.last("timeout"), Some("2"));
        assert!(!own.unknown[0].tolerated);
        let shared = parsed(text, Some("rtpengine")).unwrap();
        assert_eq!(shared.last("timeout"), Some("1"));
    }

    #[test]
    fn a_section_goes_on_when_it_is_opened_again() {
        let settings = parsed("[tandem]\na=1\n[x]\nb=2\n[tandem]\nc=3\n", None).unwrap();
        let names: Vec<&str> = settings.unknown.iter().map(|u| u.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn what_is_no_ini_file_is_refused_with_its_line() {
        for (text, words) in [
            (
                "[rtpengine",
                "/etc/test.conf, line 1: `[rtpengine` opens a section",
            ),
            ("[a]\n\ntimeout", "line 3: `timeout` is not of the form"),
            (
                "timeout = 1",
                "line 1: `timeout = 1` stands before the first",
            ),
        ] {
            let error = parsed(text, None).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_named_section_must_be_there() {
        let error = parsed("[rtpengine]\n", Some("tost")).unwrap_err();
        assert!(error.contains("there is no section [tost]"), "{error}");
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
        read_into(&mut settings).unwrap();
        assert_eq!(settings.file, None);
    }
}
