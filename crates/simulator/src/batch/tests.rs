//! Files and batches over real sockets.

use serde_json::{Value, json};

use super::super::tests::{chat, exchange, request};
use super::super::{BackgroundSimulator, Simulator, SimulatorConfig};

struct Api(BackgroundSimulator);

impl Api {
    fn start(faults: &str, of_lines: &str) -> Self {
        let config = SimulatorConfig {
            batch_faults: faults.parse().unwrap(),
            faults: of_lines.parse().unwrap(),
            ..SimulatorConfig::default()
        };
        Self(Simulator::spawn(config).unwrap())
    }

    fn ask(&self, request: &str) -> (u16, String) {
        let answer = exchange(self.0.local_addr(), request).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn json(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, body) = self.ask(&request(method, path, body));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn upload(&self, content: &str) -> String {
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n{content}\r\n--b--\r\n"
        );
        let head = "POST /v1/files HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-type: multipart/form-data; boundary=b\r\n";
        let (status, body) = self.ask(&format!("{head}content-length: {}\r\n\r\n{form}", form.len()));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn submit(&self, content: &str) -> Value {
        let file = self.upload(content);
        let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"shard": "1"}});
        self.json("POST", "/v1/batches", &body.to_string())
    }

    fn end(&self, batch: &Value) -> Value {
        let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
        let is_open = |batch: &Value| {
            let status = batch["status"].as_str().unwrap().to_lowercase();
            ["validating", "in_progress", "cancelling"].contains(&status.as_str())
        };
        let mut now = self.json("GET", &path, "");
        while is_open(&now) {
            now = self.json("GET", &path, "");
        }
        now
    }

    fn lines(&self, file: &Value) -> Vec<Value> {
        let Some(file) = file.as_str() else { return Vec::new() };
        let (status, body) = self.ask(&request("GET", &format!("/v1/files/{file}/content"), ""));
        assert_eq!(status, 200);
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn input(n: usize) -> String {
    let line = |i: usize| {
        let body: Value = serde_json::from_str(&chat(&format!("prompt {i}"))).unwrap();
        json!({"custom_id": format!("a-{i}"), "method": "POST", "url": "/v1/chat/completions", "body": body})
            .to_string()
    };
    (0..n).map(line).collect::<Vec<_>>().join("\n")
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["custom_id"].as_str().unwrap()).collect()
}

#[test]
fn a_batch_is_validated_worked_on_and_answered() {
    let api = Api::start("", "");
    let batch = api.submit(&input(3));
    assert_eq!((&batch["status"], &batch["metadata"]["shard"]), (&json!("validating"), &json!("1")));
    let done = api.end(&batch);
    assert_eq!((&done["status"], &done["error_file_id"]), (&json!("completed"), &Value::Null));
    let lines = api.lines(&done["output_file_id"]);
    assert_eq!(ids(&lines), ["a-0", "a-1", "a-2"]);
    assert_eq!(lines[0]["response"]["status_code"], 200);
    assert!(lines[0]["response"]["body"]["choices"][0]["message"]["content"].is_string());
    let listed = api.json("GET", "/v1/batches?limit=1", "");
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&batch["id"], &json!(false)));
    let stats = api.json("GET", "/stats", "");
    assert_eq!(
        (&stats["batches"], &stats["batch_lines"], &stats["batch_lines_again"]),
        (&json!(1), &json!(3), &json!(0))
    );
    api.submit(&input(2));
    assert_eq!(api.json("GET", "/stats", "")["batch_lines_again"], 2);
    let output = done["output_file_id"].as_str().unwrap();
    assert_eq!(api.json("DELETE", &format!("/v1/files/{output}"), "")["deleted"], true);
    assert_eq!(api.ask(&request("GET", &format!("/v1/files/{output}/content"), "")).0, 404);
}

#[test]
fn what_is_not_done_when_a_batch_ends_is_in_the_other_file_or_nowhere() {
    let api = Api::start("expired=30%,missing=10%,disorder,upper", "500=20%");
    let done = api.end(&api.submit(&input(300)));
    assert_eq!(done["status"], "EXPIRED");
    let (output, errors) = (api.lines(&done["output_file_id"]), api.lines(&done["error_file_id"]));
    let expired = errors.iter().filter(|line| line["error"]["code"] == "batch_expired").count();
    let failed = errors.iter().filter(|line| line["response"]["status_code"] == 500).count();
    assert_eq!(expired + failed, errors.len());
    let missing = 300 - output.len() - errors.len();
    assert!((60..120).contains(&expired) && (15..50).contains(&missing) && failed > 10, "{expired} {missing} {failed}");
    let number = |id: &str| id[2..].parse::<usize>().unwrap();
    assert!(ids(&output).windows(2).all(|pair| number(pair[0]) > number(pair[1])));
}

#[test]
fn a_batch_that_is_cancelled_has_a_file_of_errors_alone() {
    let api = Api::start("slow", "");
    let batch = api.submit(&input(2));
    let path = format!("/v1/batches/{}/cancel", batch["id"].as_str().unwrap());
    assert_eq!(api.json("POST", &path, "")["status"], "cancelling");
    let done = api.end(&batch);
    assert_eq!((&done["status"], &done["output_file_id"]), (&json!("cancelled"), &Value::Null));
    assert!(api.lines(&done["error_file_id"]).iter().all(|line| line["error"]["code"] == "batch_cancelled"));
}

#[test]
fn a_batch_can_fail_its_validation() {
    let failed = |api: &Api, content: &str| {
        let batch = api.end(&api.submit(content));
        assert_eq!((&batch["status"], &batch["output_file_id"]), (&json!("failed"), &Value::Null));
        batch["errors"]["data"][0]["code"].as_str().unwrap().to_owned()
    };
    let api = Api::start("", "");
    assert_eq!(failed(&api, "{"), "invalid_json_line");
    assert_eq!(failed(&api, "\n"), "empty_file");
    assert_eq!(failed(&api, &input(1).replace("/v1/chat/completions", "/v1/responses")), "mismatched_url");
    assert_eq!(failed(&api, &format!("{}\n{}", input(1), input(1))), "duplicate_custom_id");
    assert_eq!(api.json("GET", "/stats", "")["batch_lines"], 0, "nothing of it was accepted");
    assert_eq!(failed(&Api::start("invalid", ""), &input(2)), "invalid_json_line");
    let full = Api::start("queue,slow", "");
    full.submit(&input(1));
    assert_eq!(failed(&full, &input(2)), "token_limit_exceeded");
}
