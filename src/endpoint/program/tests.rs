use super::*;

fn program(script: &str, seconds: f64) -> Program {
    Program::new(ProgramConfig {
        source_id: "command:/j".into(),
        argv: ["sh", "-c", script].map(Into::into).into(),
        env: vec![("PATH".into(), std::env::var("PATH").unwrap_or_default())],
        processes: 1,
        timeout: Duration::from_secs_f64(seconds),
    })
}

#[expect(clippy::unwrap_used, reason = "a test")]
async fn code(script: &str, seconds: f64) -> (ErrorCode, String) {
    let failure = program(script, seconds).ask("a-1", "\"trace\":{}}").await.unwrap_err();
    (failure.code, failure.message)
}

#[tokio::test]
async fn a_program_is_asked_again_and_again_and_ends_with_its_input() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let script = format!(
        "echo start >> {path}; while read -r line; do echo; echo \"$line\" | sed 's/,.*/,\"value\":true}}/'; done; echo end >> {path}"
    );
    let program = program(&script, 60.0);
    for id in ["a-1", "a-2", "a-3"] {
        let answer = program.ask(id, "\"trace\":{}}").await.unwrap();
        assert_eq!(answer.content, format!("{{\"id\":\"{id}\",\"value\":true}}"));
    }
    program.close();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "start\nend\n");
}

#[tokio::test]
async fn each_way_not_to_answer_has_its_code_and_words() {
    let (failed, words) = code("echo first >&2; echo 'no GPU' >&2; exit 3", 60.0).await;
    assert_eq!(failed, ErrorCode::ProgramFailed);
    assert!(words.contains("exit status: 3") && words.ends_with("first; no GPU"), "{words}");
    let (failed, _) = code("exec sleep 600", 0.05).await;
    assert_eq!(failed, ErrorCode::ProgramTimeout);
    for (script, says) in [
        ("read -r line; echo '\u{1b}[2Jrubbish'", "`\u{fffd}[2Jrubbish`"),
        ("read -r line; echo '{\"id\":\"a-2\",\"value\":1}'", "about `a-2`"),
        ("read -r line; echo '[1]'", "not a line of the protocol"),
        ("read -r line; head -c 9000000 /dev/zero | tr '\\0' x", "more than 4 MiB"),
    ] {
        let (malformed, words) = code(script, 60.0).await;
        assert_eq!(malformed, ErrorCode::ProgramMalformed, "{script}");
        assert!(words.contains(says), "{script}: {words}");
    }
    let (failed, _) = code("read -r line; printf '{\"id\":\"a-1\",'", 60.0).await;
    assert_eq!(failed, ErrorCode::ProgramFailed, "half a line");
}

#[tokio::test]
async fn what_a_program_started_neither_hides_its_exit_nor_outlives_it() {
    let (failed, words) = code("sleep 600 & exit 3", 60.0).await;
    assert_eq!(failed, ErrorCode::ProgramFailed);
    assert!(words.contains("exit status: 3"), "{words}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!("sleep 600 & echo $! > {}; wait", file.path().display());
    assert_eq!(code(&script, 0.5).await.0, ErrorCode::ProgramTimeout);
    let pid = std::fs::read_to_string(file.path()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    // Whoever adopts it may take a moment to bury it.
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        rustix::process::test_kill_process(pid).is_ok() && !stat.contains(") Z ")
    };
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while is_there() {
        assert!(std::time::Instant::now() < until, "it is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_that_exits_after_an_answer_is_started_again() {
    let script = "read -r line; echo \"$line\" | sed 's/,.*/,\"value\":true}/'";
    let program = program(script, 60.0);
    for id in ["a-1", "a-2"] {
        assert!(program.ask(id, "\"trace\":{}}").await.is_ok());
        let has_exited = || program.idle.lock().unwrap().iter().all(Process::has_exited);
        while !has_exited() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_not_tried_again() {
    let nowhere = ProgramConfig { argv: vec!["/nowhere/judge".into()], ..program("", 1.0).config };
    let failure = Program::new(nowhere).ask("a-1", "}").await.unwrap_err();
    assert!(failure.fatal && !failure.may_retry() && failure.message.contains("cannot start `/nowhere/judge`"));
}

#[tokio::test]
async fn what_is_not_handed_over_is_not_seen() {
    let script = "read -r line; echo \"{\\\"id\\\":\\\"a-1\\\",\\\"value\\\":\\\"$HOME$CARGO_MANIFEST_DIR\\\"}\"";
    let answer = program(script, 60.0).ask("a-1", "\"trace\":{}}").await.unwrap();
    assert_eq!(answer.content, "{\"id\":\"a-1\",\"value\":\"\"}");
}
