//! Keys and headers: they reach the endpoint, and nothing else.

use crate::common::{Action, Fake, Finished, Place, answers};

const KEY: &str = "sk-proj-0123456789abcdefSECRET";
const TOKEN: &str = "tenant-token-9876543210-SECRET";

/// An endpoint that repeats to the client whatever it was sent, as some do in their error messages.
fn echoing(status: u16) -> Fake {
    Fake::start(move |request| {
        let mut echoed = String::new();
        for (name, value) in &request.headers {
            let last = value.split_whitespace().last().unwrap_or_default();
            echoed.push_str(&format!("{name}: {value}; {last}! "));
        }
        match answers::error(status, KEY, &format!("Incorrect API key provided: {echoed}")) {
            Action::Send(bytes) => {
                let head = format!("HTTP/1.1 {status} No\r\nx-request-id: req-{KEY}\r\n");
                let rest = String::from_utf8(bytes).unwrap();
                let rest = rest.split_once("\r\n").unwrap().1.to_owned();
                Action::Send(format!("{head}{rest}").into_bytes())
            }
            other => other,
        }
    })
}

/// Fails if a secret is in what a process printed or in any file that it left.
fn assert_silent(finished: &Finished, place: &Place) {
    let mut texts =
        vec![("stdout".to_owned(), finished.stdout.clone()), ("stderr".to_owned(), finished.stderr.clone())];
    let files = place.names().into_iter().filter(|name| name != "secrets.env");
    texts.extend(files.map(|name| (name.clone(), place.read(&name))));
    for (name, text) in texts {
        for secret in [KEY, TOKEN, "0123456789abcdef", "9876543210"] {
            assert!(!text.contains(secret), "{secret} stands in {name}:\n{text}");
        }
    }
}

#[test]
fn the_key_is_sent_as_a_bearer_token_and_shown_nowhere() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    let finished = place.judge(&fake.base_url(), &["-vvv"]).env("OPENAI_API_KEY", KEY).run().exits_with(0);
    for request in fake.seen() {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    }
    assert_silent(&finished, &place);
}

#[test]
fn a_key_that_the_server_echoes_is_redacted_everywhere() {
    for status in [401, 403, 400, 500] {
        let place = Place::with_traces(3);
        place.write("traces.jsonl", format!("oops\n{}", answers::traces(3)));
        let fake = echoing(status);
        let args = ["-vvv", "--max-retries", "1", "-H", "X-Tenant: Token ${TENANT}", "-o", "out.csv"];
        let invocation = place.judge(&fake.base_url(), &args).env("OPENAI_API_KEY", KEY).env("TENANT", TOKEN);
        let finished = invocation.run();
        assert_ne!(finished.code, Some(0));
        assert_silent(&finished, &place);
        let record = &place.lines("out.feedback.jsonl")[0];
        let message = record["error"]["error_message"].as_str().unwrap();
        assert!(message.contains("Incorrect API key provided") && message.contains("[redacted]"), "{record:#}");
        assert_eq!(record["metadata"]["request_id"], "req-[redacted]");
    }
}

#[test]
fn a_header_takes_its_secret_from_the_environment() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-H", "X-Tenant: a ${TENANT} z", "--header", "X-Plain:b"];
    let finished = place.judge(&fake.base_url(), &args).env("TENANT", TOKEN).run().exits_with(0);
    let request = &fake.seen()[0];
    assert_eq!(request.header("x-tenant"), Some(format!("a {TOKEN} z").as_str()));
    assert_eq!((request.header("x-plain"), request.header("authorization")), (Some("b"), None));
    assert_silent(&finished, &place);

    // A shell replaces the variables between double quotes, so that the secret is on the command line.
    let failing = echoing(401);
    let args_of_shell = ["--overwrite", "-H", &format!("X-Tenant: {TOKEN}")];
    let finished = place.judge(&failing.base_url(), &args_of_shell).env("OPENAI_API_KEY", KEY).run().exits_with(4);
    assert_silent(&finished.prints(&["next: the same command", "-H 'X-Tenant: ...'"]), &place);

    let missing = place.judge(&fake.base_url(), &args).run().exits_with(2);
    missing.says(&["the environment variable TENANT of the header `X-Tenant` is not set"]);
    // The value of a header that is malformed may be a secret that was typed.
    let malformed = place.judge(&fake.base_url(), &["-H", &format!("X-Tenant {TOKEN}")]).run().exits_with(2);
    let malformed = malformed.says(&["a header has no value"]);
    assert_silent(&malformed, &place);
    assert_silent(&place.judge(&fake.base_url(), &["-H", TOKEN]).run().exits_with(2), &place);
    let in_a_name = place.judge(&fake.base_url(), &["-H", &format!("X-Tenant: ${{{TOKEN}}}")]).run().exits_with(2);
    assert_silent(&in_a_name, &place);
    let broken = place.judge(&fake.base_url(), &["-H", "X-Tenant: ${TENANT}"]);
    let broken = broken.env("TENANT", format!("{TOKEN}\nx")).run().exits_with(2).says(&["the header `X-Tenant`"]);
    assert_silent(&broken, &place);
    assert_eq!(fake.count(), 1);
}

#[test]
fn an_environment_file_is_read_when_it_is_named_and_loses_to_the_environment() {
    let place = Place::with_traces(1);
    place.write("secrets.env", format!("# of the team\nOPENAI_API_KEY=\"{KEY}\"\nTENANT={TOKEN}\nJUDGE_RUN_LIMIT=1\n"));
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["--env-file", "secrets.env", "-H", "X-Tenant: ${TENANT}"];
    let finished = place.judge(&fake.base_url(), &args).env("TENANT", "mine").run().exits_with(0);
    let request = &fake.seen()[0];
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("x-tenant"), Some("mine"));
    assert_silent(&finished, &place);

    place.judge(&fake.base_url(), &["--overwrite"]).run().exits_with(0);
    assert_eq!(fake.seen()[1].header("authorization"), None, "an environment file that is not named is not read");

    place.write("secrets.env", format!("OPENAI_API_KEY {KEY}\n"));
    let broken = place.judge(&fake.base_url(), &["--env-file=secrets.env"]).run().exits_with(2);
    assert_silent(&broken.says(&["cannot use the environment file `secrets.env`"]), &place);
    let missing = place.judge(&fake.base_url(), &["--env-file", "none.env"]).run().exits_with(2);
    missing.says(&["cannot use the environment file `none.env`"]);
}

#[test]
fn azure_gets_its_key_in_a_header_of_its_own() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let address = fake.base_url();
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "azure:/my-deployment"];
    let invocation = place.command(args).env("AZURE_OPENAI_API_KEY", KEY);
    let finished = invocation.env("AZURE_OPENAI_ENDPOINT", address.trim_end_matches("/v1")).run().exits_with(0);
    let request = &fake.seen()[0];
    assert_eq!((request.header("api-key"), request.header("authorization")), (Some(KEY), None));
    assert_eq!(request.line, "POST /openai/v1/chat/completions HTTP/1.1");
    assert_eq!(request.json()["model"], "my-deployment");
    assert_silent(&finished, &place);
}

#[test]
fn another_variable_can_hold_the_key() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let invocation = place.judge(&fake.base_url(), &["--api-key-env", "MY_KEY"]);
    invocation.env("MY_KEY", format!("{KEY}\n")).env("OPENAI_API_KEY", "sk-other").run().exits_with(0);
    assert_eq!(fake.seen()[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn a_redirect_is_not_followed_with_the_key() {
    let place = Place::with_traces(1);
    let elsewhere = Fake::start(|_| answers::verdict(true));
    let target = format!("{}/chat/completions?token={TOKEN}", elsewhere.base_url());
    let fake = Fake::start(move |_| answers::raw(307, &[("location", &target)], ""));
    let finished = place.judge(&fake.base_url(), &[]).env("OPENAI_API_KEY", KEY).run().exits_with(4);
    let finished = finished.prints(&["NOT_FOUND", "redirect to http://127.0.0.1:"]);
    assert_silent(&finished, &place);
    assert_eq!((fake.count(), elsewhere.count()), (1, 0));
}

#[test]
fn no_value_of_a_file_is_shown_whatever_is_wrong_with_it() {
    let config = |text: String| ("judge-run.toml", text, &["-J", "safety"][..]);
    let judge = |text: String| ("mine.toml", text, &["-J", "mine.toml"][..]);
    let tables = "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"\n";
    for (file, text, args) in [
        config(format!("[endpoints.openai]\napi_key = \"{KEY}\"\n")),
        config(format!("[endpoints.openai]\nheaders = {{ Authorization = \"Bearer {KEY} }}\n")),
        config(format!("[endpoints.openai]\nrpm = \"{KEY}\"\n")),
        config(format!("[endpoints.openai]\nprices = \"{KEY}\"\n")),
        config(format!("[endpoints.openai]\ntimeout = \"{KEY}\"\n")),
        config(format!("model = \"{KEY} \"\n")),
        config(format!("[dataset]\nformat = \"{KEY}\"\n")),
        config(format!("[dataset]\nmap = {{ x = \"{KEY}\" }}\n")),
        config(format!("OPENAI_API_KEY={KEY}\n")),
        config(format!("[endpoints.openai]\nbase_url = \"http://u:{KEY}@\"\n")),
        config(format!("[endpoints.openai]\napi_key_env = \"{KEY}\"\n")),
        config(format!("[endpoints.openai]\nheaders = {{ X = \"${{{KEY}\" }}\n")),
        judge(format!("api_key = \"{KEY}\"\n{tables}")),
        judge(format!("{tables}[params]\ntemperature = \"{KEY}\"\n")),
        judge(format!("OPENAI_API_KEY={KEY}\n")),
        judge(format!("model = \"{KEY} \"\n{tables}")),
        ("x.env", format!("OPENAI_API_KEY={KEY}\n"), &["-J", "./x.env"]),
        ("x.env", format!("OPENAI_API_KEY=\"{KEY}\"\n"), &["-J", "safety", "--config", "x.env"]),
        ("x.env", format!("OPENAI_API_KEY={KEY}\n"), &["-J", "safety", "--config", "x.env"]),
    ] {
        let place = Place::with_traces(1);
        place.write(file, &text);
        let finished = place.run(["-d", "traces.jsonl"].iter().chain(args)).exits_with(2);
        std::fs::remove_file(place.path(file)).unwrap();
        assert_silent(&finished, &place);
        assert_eq!(place.names(), ["traces.jsonl"]);
    }
}

#[test]
fn a_key_in_the_place_of_its_variable_is_not_shown() {
    for key in [KEY, "gsk_0123456789abcdef", "9876543210", "A0123456789ABCDEF"] {
        let place = Place::with_traces(1);
        let fake = Fake::start(|_| answers::verdict(true));
        let finished = place.judge(&fake.base_url(), &["--api-key-env", key]).run().exits_with(2);
        assert!(!finished.stderr.contains(key) && finished.stderr.contains("--api-key-env"), "{}", finished.stderr);
        let args = ["-d", "traces.jsonl", "-J", "safety", "--simulate", "--api-key-env", key, "--strict"];
        let finished = place.run(args);
        assert!(!finished.stdout.contains(key) && !finished.stderr.contains(key), "{finished:?}");
        assert!(!place.read("traces.feedback.run.json").contains(key));
    }
}

#[test]
fn no_spelling_of_a_header_or_an_address_shows_its_secret() {
    let fake = Fake::start(|request| {
        // Without the scheme, as some servers do.
        let words = request.headers.iter().map(|(_, value)| value.split(' ').next_back().unwrap_or_default());
        answers::error(401, "invalid_api_key", &format!("refused: {}", words.collect::<Vec<_>>().join(" ")))
    });
    let address = fake.base_url().replace("http://", "").replace("/v1", "");
    let place = Place::with_traces(2);
    let run = |base_url: &str, header: &str, shown: &str| {
        let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "e:/m", "-o", "out.jsonl", "--overwrite", "-v"];
        let more = ["--max-retries", "0", "--base-url", base_url, "-H", header];
        let finished = place.command(args.iter().chain(&more)).env("TOKEN", TOKEN).run().exits_with(4);
        let finished = finished.prints(&["next: the same command", shown]);
        assert!(place.read("out.jsonl").contains("[redacted]"), "{}", place.read("out.jsonl"));
        assert_silent(&finished, &place);
        for secret in ["hunter2hunter2", "aHVudGVyMm"] {
            assert!(!place.read("out.jsonl").contains(secret) && !finished.stdout.contains(secret), "{secret}");
        }
    };
    let plain = format!("http://{address}/v1");
    run(&plain, &format!("Authorization: Bearer {KEY}"), "-H 'Authorization: ...'");
    run(&plain, "X-Auth: Bearer ${TOKEN}", "-H 'X-Auth: Bearer ${TOKEN}'");
    let secret = format!("http://user:hunter2hunter2@{address}/v1?api=1");
    run(&secret, &format!("X-Other: {TOKEN}"), &format!("--base-url 'http://...@{address}/v1?...'"));
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "e:/m", "--base-url", "ftp://user:hunter2@h/v1"];
    let finished = place.run(args).exits_with(2).says(&["`ftp://...@h/v1`"]);
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
}

#[test]
fn a_check_shows_no_key_of_an_address() {
    let place = Place::new();
    let fake = Fake::start(|_| answers::verdict(true));
    let url = format!("{}?key={KEY}", fake.base_url());
    let finished = place.run(["check", "-m", "e:/m", "--base-url", &url]).exits_with(0);
    assert_silent(&finished, &place);
    assert!(fake.seen()[0].line.contains(KEY), "{}", fake.seen()[0].line);
}

/// A key in the forms in which gateways pass it on.
fn encodings() -> Vec<String> {
    let joined = |form: fn(u8) -> String| KEY.bytes().map(form).collect::<String>();
    vec![
        KEY.to_owned(),
        format!("Bearer {KEY}"),
        joined(|byte| format!("%{byte:02X}")),
        joined(|byte| format!("{byte:02x}")),
        joined(|byte| format!("\\u{byte:04x}")),
        joined(|byte| format!("&#{byte};")),
        // In base64, alone and behind `me:`.
        "c2stcHJvai0wMTIzNDU2Nzg5YWJjZGVmU0VDUkVU".to_owned(),
        "bWU6c2stcHJvai0wMTIzNDU2Nzg5YWJjZGVmU0VDUkVU".to_owned(),
    ]
}

/// What an encoded key must not leave behind: its plain form, the middle of its base64 forms, and of its other ones.
const TRACES: [&str; 6] =
    ["0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZ", "wMTIzNDU2Nzg5YWJjZGVm", "%30%31%32", "30313233", "&#48;&#49;"];

#[test]
fn a_key_that_a_good_answer_echoes_is_removed_in_every_form() {
    for echo in encodings() {
        let rationale = format!("you sent {echo}, and more");
        let good = serde_json::json!({"rationale": rationale, "value": true}).to_string();
        for content in [good.replace("\\\\u", "\\u"), rationale.clone()] {
            let place = Place::with_traces(1);
            let body = serde_json::json!({
                "id": echo, "model": format!("model-{echo}"), "system_fingerprint": echo,
                "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
            });
            let id = echo.clone();
            let fake = Fake::start(move |_| answers::response(200, &[("x-request-id", &id)], &body));
            let args = ["-vv", "--re-ask", "0", "-m", "openai:/judge-m", "-o", "out.csv"];
            let finished = place.judge(&fake.base_url(), &args).env("OPENAI_API_KEY", KEY).run();
            assert_silent(&finished, &place);
            let mut texts = vec![finished.stdout.clone(), finished.stderr.clone()];
            texts.extend(place.names().iter().map(|name| place.read(name)));
            let all = texts.concat();
            assert!(TRACES.iter().all(|trace| !all.contains(trace)), "{all}");
            assert!(finished.stderr.contains("[redacted]"), "the answer is shown without it: {}", finished.stderr);
        }
    }
}

#[test]
fn a_key_in_a_bad_answer_is_removed_in_every_form() {
    for echo in encodings() {
        let place = Place::with_traces(1);
        let fake = Fake::start(move |_| answers::raw(500, &[("x-request-id", &echo)], &format!("<p>{echo}</p>")));
        let args = ["-vv", "--max-retries", "0", "-m", "openai:/judge-m"];
        let finished = place.judge(&fake.base_url(), &args).env("OPENAI_API_KEY", KEY).run().exits_with(4);
        let all = [finished.stdout, finished.stderr, place.read("traces.feedback.jsonl")].concat();
        assert!(TRACES.iter().all(|trace| !all.contains(trace)), "{all}");
        assert!(all.contains("[redacted]"), "{all}");
    }
}

#[test]
fn a_key_in_the_query_of_the_address_is_sent_and_shown_nowhere() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|request| {
        assert!(request.line.contains(&format!("?api-version=2024-05-01-preview&key={KEY} ")), "{}", request.line);
        match request.number {
            0 => answers::error(500, "oops", &format!("bad request for {}", request.line)),
            _ => answers::completion(&format!("{{\"rationale\": \"{}\", \"value\": true}}", request.line)),
        }
    });
    let address = format!("{}?api-version=2024-05-01-preview&key={KEY}", fake.base_url());
    let finished = place.judge(&address, &["-vvv", "-m", "x:/m"]).run().exits_with(0);
    assert_silent(&finished, &place);
    assert!(
        finished.stderr.contains("api-version=2024-05-01-preview"),
        "a version is not a secret: {}",
        finished.stderr
    );
    let check = place.run(["check", "-m", "x:/m", "--base-url", &address]).exits_with(0);
    assert_silent(&check, &place);
}

#[test]
fn requests_and_answers_are_shown_on_demand_without_what_a_terminal_would_obey() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::completion("{\"rationale\": \"red: \u{1b}[31m\u{202e}!\", \"value\": true}"));
    let finished = place.judge(&fake.base_url(), &["-vv"]).env("OPENAI_API_KEY", KEY).run().exits_with(0);
    let finished =
        finished.says(&["request POST http://127.0.0.1:", "Answer number 0.", "answer 200 after ", "chatcmpl-1"]);
    assert!(!finished.stderr.contains(['\u{1b}', '\u{202e}']), "{}", finished.stderr);
    assert!(!finished.stderr.contains("pool"), "the HTTP library says nothing: {}", finished.stderr);
    let quiet = place.judge(&fake.base_url(), &["-v", "--overwrite"]).run().exits_with(0);
    assert!(!quiet.stderr.contains("chatcmpl-1"), "{}", quiet.stderr);
}

#[test]
fn a_key_in_the_place_of_an_address_is_not_shown() {
    let place = Place::with_traces(1);
    for args in [&["-vv"][..], &["--dry-run"]] {
        let finished = place.judge(KEY, args).run();
        assert_silent(&finished, &place);
    }
    let finished = place.judge(KEY, &[]).run().exits_with(2).says(&["it must begin with http:// or https://"]);
    assert_silent(&finished, &place);
    place.judge("localhost:8000/v1", &[]).run().exits_with(2).says(&["`localhost:8000/v1`"]);
}
