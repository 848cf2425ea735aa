//! The options about scores and where replies have them.

use relay_call::QualityReports;
use relay_call::config::MosKind;

use super::ConfigError;
use super::settings::{Settings, bad};

/// Makes sense of them.
pub(super) fn quality(settings: &Settings) -> Result<QualityReports, ConfigError> {
    let (global, inline) = match settings.last("ssrc-reporting").unwrap_or("full") {
        "full" => (true, true),
        "inline" => (false, true),
        "global" => (true, false),
        "none" => (false, false),
        value => {
            let problem = "full, inline, global or none is expected".to_owned();
            return Err(bad("ssrc-reporting", value, problem));
        }
    };
    Ok(QualityReports {
        mos: mos(settings)?,
        global,
        inline,
    })
}

fn mos(settings: &Settings) -> Result<MosKind, ConfigError> {
    let mut kind = None;
    for word in settings.all("mos") {
        let named = match word.to_ascii_uppercase().as_str() {
            "CQ" => MosKind::Conversational,
            "LQ" => MosKind::Listening,
            "LEGACY" | "G.107" | "G.107.2" => continue,
            _ => {
                let problem = "CQ, LQ, legacy, G.107 or G.107.2 is expected".to_owned();
                return Err(bad("mos", &word, problem));
            }
        };
        if *kind.get_or_insert(named) != named {
            let problem = "CQ and LQ exclude each other".to_owned();
            return Err(bad("mos", &word, problem));
        }
    }
    Ok(kind.unwrap_or_default())
}

/// What the operator should know about scores that are not those he asks for.
pub(super) fn remarks(settings: &Settings) -> Option<String> {
    let words = settings.all("mos").into_iter();
    let mut formulas = words.filter(|word| word.to_ascii_uppercase().starts_with("G.107"));
    let formula = formulas.next()?;
    Some(format!(
        "mos={formula}: there is one formula, which rtpengine calls legacy"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{self, Wish};
    use super::*;

    fn read(line: &str) -> (Result<QualityReports, String>, Option<String>) {
        let words = line.split_whitespace().map(str::to_owned);
        let Ok(Wish::Run(settings)) = arguments::read(words) else {
            panic!("nothing to run");
        };
        let read = quality(&settings).map_err(|error| error.to_string());
        (read, remarks(&settings))
    }

    #[test]
    fn scores_are_about_the_conversation_unless_listening_is_asked_for() {
        let kind = |line: &str| read(line).0.unwrap().mos;
        assert_eq!(kind("-f"), MosKind::Conversational);
        assert_eq!(kind("--mos=LQ"), MosKind::Listening);
        assert_eq!(kind("--mos=lq"), MosKind::Listening);
        assert_eq!(kind("--mos=CQ --mos=legacy"), MosKind::Conversational);
        assert_eq!(kind("--mos=LQ;legacy"), MosKind::Listening);
        let (_, remark) = read("--mos=legacy");
        assert_eq!(remark, None);
        let (made, remark) = read("--mos=LQ;G.107.2");
        assert!(made.is_ok() && remark.unwrap().starts_with("mos=G.107.2: "));
    }

    #[test]
    fn sources_are_told_of_in_one_place_both_or_none() {
        let places = |line: &str| read(line).0.map(|made| (made.global, made.inline)).unwrap();
        assert_eq!(places("-f"), (true, true));
        assert_eq!(places("--ssrc-reporting=inline"), (false, true));
        assert_eq!(places("--ssrc-reporting=global"), (true, false));
        assert_eq!(places("--ssrc-reporting=none"), (false, false));
    }

    #[test]
    fn a_value_that_means_nothing_is_named() {
        for (line, words) in [
            ("--mos=XX", "option mos: `XX`: CQ, LQ"),
            ("--mos=CQ;LQ", "option mos: `LQ`: CQ and LQ exclude"),
            ("--ssrc-reporting=all", "option ssrc-reporting: `all`"),
        ] {
            let refused = read(line).0.unwrap_err();
            assert!(refused.starts_with(words), "{refused}");
        }
    }
}
