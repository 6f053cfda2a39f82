//! `--set JUDGE.NAME=VALUE`: the parameters of judges.

use std::str::FromStr;

use judge_run::judge::Given;

use super::error::CliError;
use super::suggest;

/// A setting of a judge's parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    judge: String,
    name: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected JUDGE.NAME=VALUE, such as guidelines.guidelines='Quote no prices'".to_owned();
        let (path, value) = text.split_once('=').ok_or_else(expected)?;
        let (judge, name) = path.rsplit_once('.').ok_or_else(expected)?;
        if judge.trim().is_empty() || name.trim().is_empty() {
            return Err(expected());
        }
        Ok(Self { judge: judge.trim().to_owned(), name: name.trim().to_owned(), value: value.to_owned() })
    }
}

/// The settings of this judge's parameters.
pub(crate) fn of_judge(settings: &[Setting], judge: &str) -> Given {
    let mut given = Given::new();
    for setting in settings.iter().filter(|setting| setting.judge == judge) {
        given.entry(setting.name.clone()).or_default().push(setting.value.clone());
    }
    given
}

/// The same settings, but for these of this judge's parameters.
pub(crate) fn with(settings: &[Setting], judge: &str, given: &Given) -> Vec<Setting> {
    let is_replaced = |setting: &Setting| setting.judge == judge && given.contains_key(&setting.name);
    let kept = settings.iter().filter(|setting| !is_replaced(setting)).cloned();
    let own = given.iter().flat_map(|(name, texts)| texts.iter().map(move |text| (name, text)));
    let own = own.map(|(name, value)| Setting { judge: judge.to_owned(), name: name.clone(), value: value.clone() });
    kept.chain(own).collect()
}

/// Checks that all of them are for judges of the run.
pub(crate) fn check<'a>(settings: &[Setting], judges: impl Iterator<Item = &'a str>) -> Result<(), CliError> {
    let judges: Vec<_> = judges.collect();
    match settings.iter().find(|setting| !judges.contains(&setting.judge.as_str())) {
        None => Ok(()),
        Some(Setting { judge, name, .. }) => Err(CliError::usage_with_hint(
            format_args!("--set {judge}.{name}: no judge of this run is named `{judge}`"),
            suggest::or_all(judge, &judges),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_go_to_their_judge_in_order() {
        let settings: Vec<Setting> =
            ["g.list=a", "g.list=b=c", "my.file.x=", "h.x=1"].map(|text| text.parse().unwrap()).into();
        let given = of_judge(&settings, "g");
        assert_eq!(given["list"], ["a", "b=c"]);
        assert_eq!(of_judge(&settings, "my.file")["x"], [""]);
        let changed = with(&settings, "g", &Given::from([("list".to_owned(), vec!["c".to_owned()])]));
        assert_eq!(
            (&of_judge(&changed, "g")["list"], &of_judge(&changed, "h")["x"]),
            (&vec!["c".to_owned()], &vec!["1".to_owned()])
        );
        assert!(check(&settings, ["g", "h", "my.file"].into_iter()).is_ok());
        assert!(check(&settings, ["g", "h"].into_iter()).is_err());
        for wrong in ["g", "g.x", "x=1", ".x=1", "g.=1"] {
            assert!(wrong.parse::<Setting>().is_err(), "{wrong}");
        }
    }
}
