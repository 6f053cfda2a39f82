//! What to do about a dataset, or a record of it, that cannot be read: hints to paste.

use std::fmt::Display;
use std::path::Path;

use judge_run::dataset::{DatasetError, Hint, Mapping, Remedy};

use super::print::one_line;

/// What to do about a dataset that cannot be read.
pub(crate) fn of_error(error: &DatasetError) -> Option<String> {
    let hint = match error {
        DatasetError::NothingNamed => "name at least one file, or `-` for standard input".to_owned(),
        DatasetError::IsDirectory { path } => format!("name the files in it: `{}`", path.join("*.jsonl").display()),
        DatasetError::Compressed { path, program } => {
            format!("unpack it on the way: `{program} -dc {} | judge-run --dataset -`", quoted(path))
        }
        DatasetError::NotText { path, remedy, .. } => of_remedy(*remedy, path),
        DatasetError::Header { reason, .. } if reason.contains("twice") => {
            "give each column a different name; for promptfoo's results, export JSON: `promptfoo eval -o results.json`"
                .to_owned()
        }
        DatasetError::Unpack { .. } => "fetch the file again and repeat the command; what was read is kept".to_owned(),
        DatasetError::Gather { .. } => "free space there, or set TMPDIR to another folder".to_owned(),
        DatasetError::Read { .. } => "repeat the command; what was read is kept".to_owned(),
        _ => return None,
    };
    Some(hint)
}

fn of_remedy(remedy: Remedy, path: &Path) -> String {
    let shown = path.display();
    match remedy {
        Remedy::DuckDb => {
            format!("convert it to JSON lines: `duckdb -c \"COPY (FROM '{shown}') TO 'traces.jsonl' (FORMAT json)\"`")
        }
        Remedy::Sqlite => {
            format!("export a table as JSON: `sqlite3 -json {} 'SELECT * FROM traces' > traces.json`", quoted(path))
        }
        Remedy::Spreadsheet => {
            format!(
                "save a sheet as CSV, or unpack the archive on the way: `unzip -p {} | judge-run --dataset -`",
                quoted(path)
            )
        }
    }
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_alphanumeric() || "_-./\\:".contains(c)) { text } else { format!("'{text}'") }
}

/// What to do about records that cannot be read, in the words of their file.
pub(crate) fn of_record(hint: &Hint, file: &dyn Display) -> String {
    match hint {
        Hint::Map(mappings) if mappings.is_empty() => {
            "name what was asked and what was answered: `--map inputs=NAME --map outputs=NAME`".to_owned()
        }
        Hint::Map(mappings) => format!("name the fields: {}", flags(mappings)),
        Hint::Table => "if the file is a table: `--dataset-format csv`".to_owned(),
        Hint::OneLineEach { filter } => {
            format!(
                "write each trace on one line: `jq -c '{filter}' {file}`; or read it as it is: `--dataset-format json`"
            )
        }
        Hint::Encoding(encoding) => format!(
            "convert the file to UTF-8: `iconv -f {} -t UTF-8 {file} > utf8.txt`, in PowerShell 7 `Get-Content -Encoding {} {file} | \
             Set-Content utf8.txt`, or save it as `CSV UTF-8`",
            encoding.unwrap_or("WINDOWS-1252").to_ascii_uppercase(),
            if *encoding == Some("UTF-16") { "unicode" } else { "1252" },
        ),
        Hint::RaiseLimit => "allow longer records: `--max-line-bytes 1000000000`".to_owned(),
        _ => String::new(),
    }
}

/// Flags that can be pasted.
fn flags(mappings: &[Mapping]) -> String {
    let flag = |mapping: &Mapping| {
        let text = one_line(&mapping.to_string());
        match text.chars().all(|c| c.is_alphanumeric() || "_-.=".contains(c)) {
            true => format!("--map {text}"),
            false => format!("--map \"{}\"", text.replace('"', "\\\"")),
        }
    };
    mappings.iter().map(flag).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_can_be_pasted() {
        let mappings = |texts: &[&str]| Hint::Map(texts.iter().map(|text| text.parse().unwrap()).collect());
        assert_eq!(
            of_record(&mappings(&["inputs=question", "outputs=said.text"]), &"a"),
            "name the fields: --map inputs=question --map outputs=said.text"
        );
        assert_eq!(of_record(&mappings(&["inputs=user input"]), &"a"), "name the fields: --map \"inputs=user input\"");
        assert!(of_record(&mappings(&[]), &"a").contains("--map inputs=NAME"));
    }

    #[test]
    fn every_error_that_a_user_can_repair_has_a_hint() {
        let path = || "my data/a.bz2".into();
        assert!(
            of_error(&DatasetError::Compressed { path: path(), program: "bzip2" })
                .is_some_and(|hint| hint.contains("`bzip2 -dc 'my data/a.bz2' | judge-run --dataset -`"))
        );
        for remedy in [Remedy::DuckDb, Remedy::Sqlite, Remedy::Spreadsheet] {
            assert!(of_remedy(remedy, Path::new("a.x")).contains("a.x"));
        }
        let twice = DatasetError::Header { file: "a.csv".into(), reason: "the column `a` appears twice".into() };
        assert!(of_error(&twice).is_some_and(|hint| hint.contains("promptfoo")));
        assert!(of_error(&DatasetError::NotFound { path: path() }).is_none());
        assert!(
            of_record(&Hint::Encoding(Some("Windows-1252")), &"d.csv").contains("iconv -f WINDOWS-1252 -t UTF-8 d.csv")
        );
    }
}
