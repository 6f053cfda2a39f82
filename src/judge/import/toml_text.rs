//! The text of a judge file, as a person would have written it.

use std::fmt::Write as _;

use super::value_type::ValueType;

/// A judge file to be written.
#[derive(Debug, Default)]
pub(super) struct JudgeText {
    pub version: u64,
    pub description: String,
    pub model: Option<String>,
    pub is_of_sessions: bool,
    pub verdict: ValueType,
    pub system: String,
    pub user: String,
    /// Names and values as TOML has them.
    pub params: Vec<(&'static str, String)>,
}

impl JudgeText {
    pub(super) fn written(&self) -> String {
        let Self { version, description, model, is_of_sessions, verdict, system, user, params } = self;
        let mut text = format!("version = {version}\n");
        // Writing to a string cannot fail.
        if !description.is_empty() {
            let _ = writeln!(text, "description = {}", quoted(description));
        }
        if let Some(model) = model {
            let _ = writeln!(text, "model = {}", quoted(model));
        }
        if *is_of_sessions {
            text += "\n[select]\nunit = \"session\"\n";
        }
        let _ = write!(text, "\n[verdict]\n{}", verdict_table(verdict));
        text += "\n[prompt]\n";
        if !system.is_empty() {
            let _ = writeln!(text, "system = {}", lines(system));
        }
        let _ = writeln!(text, "user = {}", lines(user));
        if !params.is_empty() {
            text += "\n[params]\n";
            params.iter().for_each(|(name, value)| _ = writeln!(text, "{name} = {value}"));
        }
        text
    }
}

fn verdict_table(verdict: &ValueType) -> String {
    match verdict {
        ValueType::Boolean => "type = \"boolean\"\n".to_owned(),
        ValueType::Number => "type = \"number\"\n".to_owned(),
        ValueType::Labels(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| quoted(label)).collect();
            let good = match labels.first() {
                Some(first) if labels.len() == 2 && first == "\"yes\"" => "good = [\"yes\"]\n",
                _ => "",
            };
            format!("type = \"category\"\nlabels = [{}]\n{good}", labels.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A text of several lines, with their breaks.
fn lines(text: &str) -> String {
    let mut out = "\"\"\"\n".to_owned();
    for c in text.trim_end().chars() {
        match c {
            '\\' => out += "\\\\",
            '"' if out.ends_with("\"\"") => out += "\\\"",
            '\n' | '\t' => out.push(c),
            c if c.is_control() => _ = write!(out, "\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\n\"\"\""
}

/// A text that is literal in a template.
pub(super) fn raw(text: &str) -> String {
    if ["{{", "{%", "{#"].iter().any(|code| text.contains(code)) {
        format!("{{% raw %}}{}{{% endraw %}}", text.replace("{% endraw %}", ""))
    } else {
        text.to_owned()
    }
}
