//! The options about calls that outlive the process.

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::settings::{Settings, bad};
use crate::persistence::PersistenceSettings;

/// Makes sense of them. systemd names the folder that a unit has for itself (`StateDirectory=`); else calls are kept only where
/// the operator says.
pub(super) fn persistence(settings: &Settings) -> Result<Option<PersistenceSettings>, ConfigError> {
    let key_file = settings
        .last("state-key-file")
        .filter(|path| !path.is_empty());
    let directory = match settings.last("state-dir") {
        Some("none" | "") => None,
        Some(path) if !path.starts_with('/') => {
            let problem = "a path that begins with / is expected, or none".to_owned();
            return Err(bad("state-dir", path, problem));
        }
        Some(path) => Some(PathBuf::from(path)),
        None => of_the_unit(std::env::var("STATE_DIRECTORY").ok().as_deref()),
    };
    Ok(directory.map(|directory| PersistenceSettings {
        directory,
        key_file: key_file.map(PathBuf::from),
    }))
}

/// The first of the folders that a unit has, separated by colons (systemd.exec(5)).
fn of_the_unit(folders: Option<&str>) -> Option<PathBuf> {
    let first = folders?.split(':').next()?;
    (!first.is_empty()).then(|| Path::new(first).join("state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_with_a_folder_keeps_calls_in_it() {
        let expected = Some(PathBuf::from("/var/lib/tandem/state"));
        assert_eq!(
            of_the_unit(Some("/var/lib/tandem:/var/lib/other")),
            expected
        );
        assert_eq!(of_the_unit(Some("/var/lib/tandem")), expected);
        assert_eq!(of_the_unit(Some("")), None);
        assert_eq!(of_the_unit(None), None);
    }
}
