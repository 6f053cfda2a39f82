use std::time::Duration;

use judge_run::endpoint::config::Pool;
use judge_run::judge::toml_file;
use secrecy::ExposeSecret;

use super::open::{expanded, open};
use super::*;

fn layers(flags: EndpointTable, config: &str) -> Layers {
    let file: ConfigFile = toml_file::parse(config).unwrap();
    Layers {
        file,
        models: Vec::new(),
        simulate: false,
        prices: None,
        flags,
        variables: EndpointTable::default(),
        sends_nothing: false,
    }
}

fn of<'a>(env: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

fn resolved(uri: &str, flags: EndpointTable, config: &str, env: &[(&str, &str)]) -> Result<EndpointConfig, String> {
    let endpoint = layers(flags, config).endpoint(&uri.parse().unwrap(), &of(env));
    let opened = endpoint.and_then(|(plan, secrets)| open(&plan, &secrets, None, &of(env)));
    opened.map(|lane| lane.pool.first().clone()).map_err(CliError::into_line)
}

/// A plan that one process wrote, as read by a later one.
fn again(first: EndpointTable, config: &str, flags: EndpointTable, env: &[(&str, &str)]) -> Result<Pool, String> {
    let uri = "ours:/m".parse().unwrap();
    let (plan, _) = layers(first, config).endpoint(&uri, &of(env)).map_err(CliError::into_line)?;
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    let plan: EndpointPlan = serde_json::from_str(&text).unwrap();
    let endpoint = layers(flags, config).endpoint_again(&plan, &of(env));
    let opened = endpoint.and_then(|(plan, secrets)| open(&plan, &secrets, None, &of(env)));
    opened.map(|lane| lane.pool).map_err(CliError::into_line)
}

fn table(text: &str) -> EndpointTable {
    toml_file::parse(text).unwrap()
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_environment() {
    let file = "[endpoints.openai]\nbase_url = \"http://file/v1\"\nrpm = 7\ntimeout = \"2m\"\n";
    let env = [("OPENAI_BASE_URL", "http://env/v1"), ("OPENAI_API_KEY", "sk-x")];
    let url = |flags, config| resolved("openai:/m", flags, config, &env).unwrap().base_url;
    let flag = || table("base_url = \"http://flag/v1\"");
    assert_eq!(url(flag(), file), "http://flag/v1");
    assert_eq!(url(EndpointTable::default(), file), "http://file/v1");
    assert_eq!(url(EndpointTable::default(), ""), "http://env/v1");
    let endpoint = resolved("openai:/m", flag(), file, &env).unwrap();
    assert_eq!((endpoint.limits.rpm.map(Into::into), endpoint.timeout), (Some(7), Duration::from_secs(120)));
}

#[test]
fn a_missing_key_is_an_error_only_where_one_is_needed() {
    let none = EndpointTable::default;
    let error = resolved("openai:/m", none(), "", &[]).unwrap_err();
    assert!(error.contains("OPENAI_API_KEY is not set") && error.contains("--simulate"), "{error}");
    assert!(resolved("ollama:/m", none(), "", &[]).unwrap().api_key.is_none());
    assert!(resolved("openai:/m", none(), "", &[("OPENAI_BASE_URL", "http://h/v1")]).is_ok());
    let error = resolved("ollama:/m", table("api_key_env = \"MY_KEY\""), "", &[]).unwrap_err();
    assert!(error.contains("MY_KEY"), "{error}");
    let error = resolved("olama:/m", none(), "", &[]).unwrap_err();
    assert!(error.contains("unknown endpoint `olama`") && error.contains("did you mean `ollama`"), "{error}");
    let azure = resolved(
        "azure:/d",
        none(),
        "",
        &[("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/"), ("AZURE_OPENAI_API_KEY", "k")],
    );
    assert_eq!(azure.unwrap().base_url, "https://x.openai.azure.com/openai/v1");
}

#[test]
fn a_key_in_place_of_its_variable_is_not_shown() {
    for key in ["sk-s3cret", "gsk_s3cretABC", "AIzaS3cret", "0123456789abcdef", "s3cret s3cret", "A1B2C3D4E5F6G7H8J9"] {
        let flags = EndpointTable { api_key_env: Some(key.to_owned()), ..EndpointTable::default() };
        let error = resolved("openai:/m", flags, "", &[]).unwrap_err();
        assert!(!error.contains(key) && error.contains("--api-key-env"), "{error}");
    }
}

#[test]
fn headers_take_their_secrets_from_the_environment() {
    let env = |name: &str| (name == "T").then(|| "secret".to_owned());
    let mut secrets = Vec::new();
    assert_eq!(expanded("x", "Bearer ${T}!", &env, &mut secrets).unwrap(), "Bearer secret!");
    assert_eq!(secrets.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["secret"]);
    assert!(expanded("x", "${MISSING}", &env, &mut secrets).is_err());
    assert!(expanded("x", "${T", &env, &mut secrets).is_err());
    assert!(split_header("no colon").is_err());
}

#[test]
fn a_plan_that_withholds_nothing_is_enough_for_a_later_process() {
    let first = || {
        table(
            "base_url = \"http://h/v1\"\napi_key_env = \"K\"\nrpm = 60\nrpd = 9\nconcurrency = 3\ntimeout = 5\n\
             headers = { X = \"Bearer ${T}\" }\nextra_body = { top_k = 1, service_tier = \"flex\" }",
        )
    };
    let env = [("K", "key"), ("T", "token")];
    let same = |endpoint: EndpointConfig| format!("{endpoint:?}");
    let now = resolved("ours:/m", first(), "", &env).unwrap();
    let later = again(first(), "", EndpointTable::default(), &env).unwrap().first().clone();
    assert_eq!(
        (later.headers[0].1.expose_secret(), later.extra_body["service_tier"].as_str()),
        ("Bearer token", Some("flex"))
    );
    assert_eq!(same(now), same(later));
    let other = again(first(), "", table("rpm = 5\nbase_url = \"http://i/v1\""), &env).unwrap().first().clone();
    assert_eq!(
        (other.limits.rpm.map(Into::into), other.base_url.as_str(), other.concurrency),
        (Some(5), "http://i/v1", 3)
    );
    assert!(again(first(), "", EndpointTable::default(), &[("K", "key")]).is_err(), "a header needs its variable");
}

#[test]
fn what_a_plan_withholds_is_given_again_or_found_in_the_configuration() {
    let none = EndpointTable::default;
    let secret = |what: &str| again(table(what), "", none(), &[]).unwrap_err();
    let url = "base_url = \"http://u:s3cret@h/v1\"";
    assert!(secret(url).contains("`--base-url URL`"));
    let header = "base_url = \"http://h/v1\"\nheaders = { X = \"s3cret\" }";
    assert!(secret(header).contains("`--header 'X: VALUE'`"));
    let body = "base_url = \"http://h/v1\"\nextra_body = { seed = 1, user = \"s3cret\", deep = { x = 1 } }";
    assert!(secret(body).contains("`--extra-body '{\"deep\": VALUE}'`"));
    for what in [url, header, body] {
        let config = format!("[endpoints.ours]\n{what}");
        let found = again(none(), &config, none(), &[]).unwrap().first().clone();
        let first = resolved("ours:/m", none(), &config, &[]).unwrap();
        assert_eq!(found.base_url, first.base_url);
        assert_eq!(found.headers.len(), first.headers.len());
        assert_eq!(found.extra_body.len(), first.extra_body.len());
        assert!(again(table(what), "", table(what), &[]).is_ok(), "{what}");
    }
    let pool = "[[endpoints.ours.pool]]\nbase_url = \"http://a/v1\"\n[[endpoints.ours.pool]]\nbase_url = \"http://s3cret@b/v1\"\nrpm = 5\n";
    let found = again(none(), pool, none(), &[]).unwrap();
    let urls: Vec<_> = found.iter().map(|member| (member.base_url.as_str(), member.limits.rpm.is_some())).collect();
    assert_eq!(urls, [("http://a/v1", false), ("http://s3cret@b/v1", true)]);
}

#[test]
fn an_address_is_written_without_what_may_be_secret() {
    for (url, open) in [
        ("http://h:1/v1", "http://h:1/v1"),
        ("http://user:s3cret@h/v1?key=s3cret", "http://h/v1"),
        ("https://h/v1#s3cret", "https://h/v1"),
    ] {
        assert_eq!(open_address(url), open);
    }
}
