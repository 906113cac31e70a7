//! The answers of the stub, good and bad, streamed or whole as the client asked.

use crate::http::Request;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One answer to one chat request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An item that fits the schema.
    Good,
    /// The same, with a pause between the pieces of the stream.
    Slow(Duration),
    /// This JSON, whether it fits or not.
    Json(Value),
    /// This text.
    Text(String),
    /// An item cut off by `max_tokens`: status 200, `finish_reason` "length".
    Length,
    /// Half an item, then the connection breaks.
    Cut,
    /// No answer at all, for as long as the client waits.
    Hang,
    /// Half an item, then silence for as long as the client waits.
    Stall,
    /// A good item in the reasoning field, the content empty.
    Reasoning,
    /// Half an item in the reasoning field, the content empty, cut off by `max_tokens`.
    OnlyThoughts,
    /// The connection is closed without a word, as by a proxy without its server.
    Close,
    /// A page, as a proxy or a wrong address gives it.
    Page(String),
    /// An HTTP status with headers and a body.
    Status {
        code: u16,
        headers: Vec<(String, String)>,
        body: Value,
    },
}

impl Reply {
    /// A status with an error body in OpenAI's shape.
    pub fn status(code: u16, message: &str) -> Reply {
        Reply::Status {
            code,
            headers: Vec::new(),
            body: json!({"error": {"message": message, "code": code}}),
        }
    }

    /// 429, with a Retry-After or without.
    pub fn too_many(retry_after: Option<&str>) -> Reply {
        let headers = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned()));
        Reply::Status {
            code: 429,
            headers: headers.into_iter().collect(),
            body: json!({"error": {"message": "too many requests", "code": 429}}),
        }
    }

    /// What a server says while it loads its model.
    pub fn loading() -> Reply {
        let error = json!({"message": "Loading model", "type": "unavailable_error", "code": 503});
        Reply::Status {
            code: 503,
            headers: Vec::new(),
            body: json!({ "error": error }),
        }
    }

    pub(super) fn write(&self, stream: &TcpStream, request: &Request, good: &Value) -> io::Result<()> {
        let good = good.to_string();
        let half = &good[..good.floor_char_boundary(good.len() / 2)];
        match self {
            Reply::Good => answer(stream, request, &good, "stop", Duration::ZERO),
            Reply::Slow(pause) => answer(stream, request, &good, "stop", *pause),
            Reply::Json(value) => answer(stream, request, &value.to_string(), "stop", Duration::ZERO),
            Reply::Text(text) => answer(stream, request, text, "stop", Duration::ZERO),
            Reply::Length => answer(stream, request, half, "length", Duration::ZERO),
            Reply::Cut => begin(stream, half),
            Reply::Hang => until_client_leaves(stream),
            Reply::Stall => begin(stream, half).and_then(|()| until_client_leaves(stream)),
            Reply::Reasoning => reasoning(stream, request, &good, "stop"),
            Reply::OnlyThoughts => reasoning(stream, request, half, "length"),
            Reply::Close => Ok(()),
            Reply::Page(text) => page(stream, text),
            Reply::Status { code, headers, body } => write_json(stream, *code, headers, body),
        }
    }
}

fn answer(
    mut stream: &TcpStream,
    request: &Request,
    text: &str,
    finish: &str,
    pause: Duration,
) -> io::Result<()> {
    if request.body["stream"] != json!(true) {
        let message = json!({"role": "assistant", "content": text});
        return write_json(stream, 200, &[], &completion(&message, finish, text));
    }
    write_head(stream, 200, "text/event-stream", &[])?;
    for piece in pieces(text) {
        event(
            stream,
            &json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}),
        )?;
        std::thread::sleep(pause);
    }
    finish_stream(stream, finish, text)?;
    stream.flush()
}

fn reasoning(stream: &TcpStream, request: &Request, text: &str, finish: &str) -> io::Result<()> {
    if request.body["stream"] != json!(true) {
        let message = json!({"role": "assistant", "content": "", "reasoning_content": text});
        return write_json(stream, 200, &[], &completion(&message, finish, text));
    }
    write_head(stream, 200, "text/event-stream", &[])?;
    event(
        stream,
        &json!({"choices": [{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": null}]}),
    )?;
    finish_stream(stream, finish, text)
}

fn page(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    write_head(stream, 200, "text/html", &[])?;
    stream.write_all(text.as_bytes())
}

fn begin(stream: &TcpStream, text: &str) -> io::Result<()> {
    write_head(stream, 200, "text/event-stream", &[])?;
    event(
        stream,
        &json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}),
    )
}

fn finish_stream(mut stream: &TcpStream, finish: &str, text: &str) -> io::Result<()> {
    event(
        stream,
        &json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}),
    )?;
    event(stream, &json!({"choices": [], "usage": usage(text)}))?;
    stream.write_all(b"data: [DONE]\n\n")
}

fn completion(message: &Value, finish: &str, text: &str) -> Value {
    json!({"id": "stub", "object": "chat.completion", "model": "stub-model", "usage": usage(text),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}]})
}

fn usage(text: &str) -> Value {
    json!({"prompt_tokens": 100, "completion_tokens": text.len() / 4, "total_tokens": 100 + text.len() / 4})
}

/// Text in pieces of a few bytes, never inside a character.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.ceil_char_boundary(24));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

fn event(mut stream: &TcpStream, data: &Value) -> io::Result<()> {
    stream.write_all(format!("data: {data}\n\n").as_bytes())
}

/// Any status with a JSON body.
pub(super) fn write_json(
    mut stream: &TcpStream,
    code: u16,
    headers: &[(String, String)],
    body: &Value,
) -> io::Result<()> {
    let body = body.to_string();
    let length = ("Content-Length".to_owned(), body.len().to_string());
    write_head(stream, code, "application/json", &[headers, &[length]].concat())?;
    stream.write_all(body.as_bytes())
}

fn write_head(mut stream: &TcpStream, code: u16, kind: &str, headers: &[(String, String)]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {code} Stub\r\nContent-Type: {kind}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())
}

fn until_client_leaves(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    let mut byte = [0];
    while stream.read(&mut byte)? > 0 {}
    Ok(())
}
