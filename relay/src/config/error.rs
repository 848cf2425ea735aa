//! Why the relay does not start, with the place and the name of what is wrong.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// A line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.path.display(), self.line)
    }
}

/// Why the relay does not start.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The command line cannot be read.
    #[error("{0}")]
    CommandLine(String),
    /// The file cannot be read.
    #[error("configuration file {}: {problem}", path.display())]
    File {
        /// Its name.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A line of the file cannot be read.
    #[error("{place}: {problem}")]
    Syntax {
        /// Which.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// A name is no option.
    #[error("{}{problem}", before(place.as_ref()))]
    Unknown {
        /// Where, if in the file.
        place: Option<Place>,
        /// The name, and what may have been meant.
        problem: String,
    },
    /// A value means nothing.
    #[error("{}option {option}: `{value}`: {problem}", before(place.as_ref()))]
    Value {
        /// Where, if in the file.
        place: Option<Place>,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing can work without it.
    #[error("option {option} is missing; {hint}")]
    Missing {
        /// The option.
        option: &'static str,
        /// How it looks.
        hint: &'static str,
    },
}

/// A place as the beginning of a sentence.
fn before(place: Option<&Place>) -> String {
    place.map(|place| format!("{place}: ")).unwrap_or_default()
}
