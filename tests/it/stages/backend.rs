//! `rollout` and `evaluate` with a server behind them: what is asked, what becomes of the answers, and of failures.

use std::{
    collections::BTreeSet,
    sync::{
        Barrier, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use toolexpander::{
    lm::LanguageModel,
    table::{RolloutRow, ScoreRow},
};

use super::{
    backend_server::{Reply, Request, Server},
    harness::StageRun,
    model_support::{demonstrated, questions, trained, with_model},
};

fn backend(server: &Server, others: &[(&str, toml::Value)]) -> toml::Table {
    let own = [("openai", server.address.as_str().into()), ("timeout-seconds", 30.into())];
    own.into_iter().chain(others.iter().cloned()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn roll(server: &Server, samples: usize, others: &[(&str, toml::Value)]) -> StageRun {
    with_model("rollout", trained())
        .table("samples", "data", &questions(samples))
        .param("max-tokens", 16)
        .param("group-size", 3)
        .param("backend", backend(server, others))
}

/// A text that tells the request's seed.
fn echo(request: &Request) -> Reply {
    Reply::completion(&format!("[open(value={})]", request.body["seed"]))
}

fn seeds(requests: &[Request]) -> BTreeSet<u64> {
    requests.iter().map(|request| request.body["seed"].as_u64().unwrap()).collect()
}

#[test]
fn every_rollout_is_one_request_with_a_seed_of_its_own() {
    let server = Server::start(echo);
    let outcome = roll(&server, 4, &[("model", "mine".into())])
        .param("temperature", 0.7)
        .param("stop", vec!["\n\n"])
        .param("top-k", 9)
        .run()
        .unwrap();
    let requests = server.requests();
    assert_eq!((requests.len(), seeds(&requests).len()), (12, 12));
    assert!(seeds(&requests).iter().all(|seed| *seed < 1 << 31));
    let mut body = requests[0].body.clone();
    let prompt = body["prompt"].take();
    body["seed"].take();
    let expected = json!({
        "model": "mine", "prompt": null, "max_tokens": 16, "temperature": 0.7, "top_p": 1.0, "n": 1, "seed": null,
        "stop": ["\n\n"], "logprobs": 1, "stream": false,
        "top_k": 9, "min_p": 0.0, "repetition_penalty": 1.0, "add_special_tokens": false,
    });
    assert_eq!(body, expected);
    assert!(requests.iter().all(|request| request.head.starts_with("post /v1/completions http/1.1\r\n")));
    // The very prompt that the sampler in this process reads.
    let model = LanguageModel::load(trained()).unwrap();
    let prompt = prompt.as_str().unwrap();
    assert!(prompt.starts_with("<|im_start|>") && prompt.ends_with("<|im_start|>assistant\n"), "{prompt}");
    let rows: Vec<RolloutRow> = outcome.table("rollouts");
    let tokens = model.tokenizer.encode(prompt, false).unwrap().len();
    assert!(rows.iter().any(|row| usize::try_from(row.prompt_tokens).unwrap() == tokens), "{rows:#?}");
    for (place, row) in rows.iter().enumerate() {
        let place = (format!("q{}", place / 3), i32::try_from(place % 3).unwrap());
        assert_eq!((row.sample_id.clone(), row.rollout_index), place);
        assert_eq!((row.finish.as_str(), row.completion_tokens, row.log_prob), ("stop", 2, -1.5));
        assert_eq!(row.format, 1.0, "{row:?}");
    }
    assert_eq!(outcome.fact("backend-model"), Some("served"));
    assert_eq!(outcome.fact("backend-fingerprint"), Some("b1"));
}

#[test]
fn rows_do_not_depend_on_the_order_of_answers() {
    let alone = roll(&Server::start(echo), 4, &[("concurrency", 1.into())]).run().unwrap();
    // The first request is answered when three others have been.
    let (answered, changed) = (Mutex::new(0), Condvar::new());
    let server = Server::start(move |request| {
        let mut answered = answered.lock().unwrap();
        if request.number == 0 {
            drop(changed.wait_while(answered, |answered| *answered < 3).unwrap());
        } else {
            *answered += 1;
            changed.notify_all();
        }
        echo(request)
    });
    let crowded = roll(&server, 4, &[("concurrency", 3.into())]).run().unwrap();
    assert!(alone.bytes("rollouts") == crowded.bytes("rollouts"));
    let rows = |run: StageRun| run.run().unwrap().table::<RolloutRow>("rollouts");
    assert!(rows(roll(&Server::start(echo), 4, &[])) == rows(roll(&Server::start(echo), 5, &[]))[..12]);
    assert!(rows(roll(&Server::start(echo), 4, &[])) != rows(roll(&Server::start(echo), 4, &[]).seed(8)));
}

#[test]
fn as_many_requests_as_allowed_are_on_their_way() {
    // Nobody is answered before four have come.
    let barrier = Barrier::new(4);
    let server = Server::start(move |request| {
        barrier.wait();
        echo(request)
    });
    roll(&server, 8, &[("concurrency", 4.into()), ("retries", 0.into())]).run().unwrap();
    assert_eq!((server.requests().len(), server.most_at_once()), (24, 4));
}

#[test]
fn a_busy_server_is_asked_again() {
    let seen = Mutex::new(BTreeSet::new());
    let server = Server::start(move |request| {
        if seen.lock().unwrap().insert(request.body["seed"].as_u64().unwrap()) {
            return Reply::new("503 Service Unavailable", "loading").header("Retry-After: 0");
        }
        echo(request)
    });
    let outcome = roll(&server, 2, &[]).run().unwrap();
    assert_eq!((server.requests().len(), seeds(&server.requests()).len()), (12, 6));
    assert!(outcome.bytes("rollouts") == roll(&Server::start(echo), 2, &[]).run().unwrap().bytes("rollouts"));
    let log = outcome.log();
    assert_eq!(log.matches("is asked for again in 0.0 s: 503 Service Unavailable: loading").count(), 6, "{log}");
    let server = Server::start(|_| Reply::new("429 Too Many Requests", "later").header("Retry-After: 0"));
    let message = roll(&server, 1, &[("retries", 2.into()), ("concurrency", 1.into())]).fails();
    assert_eq!(server.requests().len(), 3);
    insta::assert_snapshot!(message.replace(&server.address, "http://SERVER"), @"failed to get completion 0 of `q0`: http://SERVER/v1/completions answers 429 Too Many Requests: later; that was attempt 3 of 3: look at the server's log, or raise `retries` of `backend`");
}

#[test]
fn the_key_of_an_api_stays_in_its_header() {
    // A variable that cargo sets for every test, and what it holds.
    let (name, key) = ("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));
    let refuses = AtomicBool::new(false);
    let server = Server::start(move |request| {
        assert!(request.head.contains(&format!("authorization: bearer {key}\r\n")), "{}", request.head);
        let mut body: Value = serde_json::from_str(r#"{"choices":[{"text":"[]","finish_reason":"length"}]}"#).unwrap();
        body["model"] = format!("model of {key}").into();
        match refuses.swap(true, Ordering::SeqCst) {
            false => Reply::new("200 OK", body.to_string()),
            true => Reply::new("401 Unauthorized", format!("{{\"error\":\"invalid key {key}\"}}")),
        }
    });
    let one = roll(&server, 1, &[("api-key-env", name.into())]).param("group-size", 1).run().unwrap();
    assert_eq!(one.fact("backend-model"), Some("model of ***"));
    let rows: Vec<RolloutRow> = one.table("rollouts");
    assert!(rows[0].log_prob.is_nan() && rows[0].finish == "length" && rows[0].completion_tokens > 0, "{rows:?}");
    let message = roll(&server, 1, &[("api-key-env", name.into()), ("concurrency", 1.into())]).fails();
    assert!(!message.contains(key), "{message}");
    insta::assert_snapshot!(message.replace(&server.address, "http://SERVER"), @r#"failed to get completion 0 of `q0`: http://SERVER/v1/completions answers 401 Unauthorized: {"error":"invalid key ***"}; put a key that the server takes into an environment variable and name the variable as `api-key-env` of `backend`"#);
    let message = roll(&server, 1, &[("api-key-env", "TOOLEXPANDER_NEVER_SET".into())]).fails();
    assert!(message.contains("the environment variable `TOOLEXPANDER_NEVER_SET`"), "{message}");
}

#[test]
fn what_is_no_completion_is_an_error() {
    let fails = |body: &'static str| {
        let server = Server::start(move |_| Reply::new("200 OK", body));
        let message = roll(&server, 1, &[("concurrency", 1.into())]).fails();
        assert_eq!(server.requests().len(), 1, "it is final");
        message.replace(&server.address, "http://SERVER")
    };
    insta::assert_snapshot!(fails("{\"choices\": [{\"te"), @r#"failed to get completion 0 of `q0`: http://SERVER/v1/completions answers with what is no completion: EOF while parsing a string at line 1 column 17: {"choices": [{"te; is it an OpenAI-compatible server?"#);
    insta::assert_snapshot!(fails("{\"choices\": []}"), @r#"failed to get completion 0 of `q0`: http://SERVER/v1/completions answers with what is no completion: one choice was asked for, 0 came: {"choices": []}; is it an OpenAI-compatible server?"#);
    let server = Server::start(echo);
    let message = roll(&server, 1, &[("concurency", 1.into())]).fails();
    assert!(message.contains("unknown field `concurency`") && message.contains("`concurrency`"), "{message}");
    assert!(server.requests().is_empty());
}

#[test]
fn after_a_failure_only_the_rest_is_asked() {
    let broken = AtomicBool::new(true);
    let server = Server::start(move |request| {
        if request.number == 5 && broken.swap(false, Ordering::SeqCst) {
            return Reply::new("400 Bad Request", "not that one");
        }
        echo(request)
    });
    let run = roll(&server, 4, &[("concurrency", 1.into())]);
    let message = run.fails_once();
    assert!(message.contains("400 Bad Request: not that one"), "{message}");
    assert_eq!(server.requests().len(), 6);
    let outcome = run.run().unwrap();
    assert!(outcome.log().contains("5 of 12 rollouts were completed by an earlier attempt"), "{}", outcome.log());
    assert_eq!((server.requests().len(), seeds(&server.requests()).len()), (6 + 7, 12));
    assert_eq!(outcome.fact("backend-model"), Some("served"));
    assert!(outcome.bytes("rollouts") == roll(&Server::start(echo), 4, &[]).run().unwrap().bytes("rollouts"));
}

#[test]
fn a_killed_stage_asks_only_for_the_rest() {
    let server = Server::start(echo);
    let run = roll(&server, 4, &[]).killed_after(8);
    let before = server.requests().len();
    assert!(before >= 8);
    let outcome = run.run().unwrap();
    let log = outcome.log();
    let known: usize = log.split(" of 12 rollouts were").next().unwrap().rsplit('\n').next().unwrap().parse().unwrap();
    assert!(known >= 1, "{log}");
    assert_eq!(server.requests().len() - before, 12 - known, "{log}");
    assert!(outcome.bytes("rollouts") == roll(&Server::start(echo), 4, &[]).run().unwrap().bytes("rollouts"));
}

#[test]
fn prompts_can_be_tokens_and_show_demonstrations() {
    let server = Server::start(echo);
    let text = Server::start(echo);
    let shown = |server: &Server, form: &str| {
        with_model("rollout", trained())
            .table("samples", "data", &demonstrated(&questions(2)))
            .param("max-tokens", 16)
            .param("group-size", 1)
            .param("backend", backend(server, &[("prompt", form.into()), ("concurrency", 1.into())]))
            .run()
            .unwrap()
    };
    let rows: Vec<RolloutRow> = shown(&server, "tokens").table("rollouts");
    assert!(rows.iter().all(|row| row.demonstrated));
    shown(&text, "text");
    let model = LanguageModel::load(trained()).unwrap();
    for ((tokens, text), row) in server.requests().iter().zip(text.requests()).zip(&rows) {
        let tokens: Vec<u32> = serde_json::from_value(tokens.body["prompt"].clone()).unwrap();
        let text = text.body["prompt"].as_str().unwrap().to_owned();
        assert!(text.contains("[open(value=1)]"), "{text}");
        assert_eq!(tokens, model.tokenizer.encode(&text, false).unwrap());
        assert_eq!(tokens.len(), usize::try_from(row.prompt_tokens).unwrap());
    }
}

#[test]
fn a_server_is_evaluated() {
    let server = Server::start(|request| {
        // It is right about every question: `open 10` is answered `[open(value=10)]`.
        let prompt = request.body["prompt"].as_str().unwrap();
        let tools = ["open", "close", "lock"];
        let asked = (0..9).find_map(|index| {
            let (tool, value) = (tools[index % 3], 10 + index);
            prompt.contains(&format!("{tool} {value}")).then(|| format!("[{tool}(value={value})]\n\nAnd more."))
        });
        Reply::completion(&asked.unwrap())
    });
    let run = |server: &Server| {
        with_model("evaluate", trained())
            .table("samples", "data.eval", &questions(9))
            .param("max-tokens", 16)
            .param("stop", vec!["\n\n"])
            .param("backend", backend(server, &[]))
    };
    let outcome = run(&server).run().unwrap();
    assert!(outcome.log().contains("s at p95"), "{}", outcome.log());
    let scores: Vec<ScoreRow> = outcome.table("scores");
    assert!(scores.len() == 9 && scores.iter().all(|row| row.correct), "{scores:#?}");
    assert!(scores.iter().all(|row| !row.completion.contains("more")), "a server that does not stop is cut");
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.body["temperature"] == 0.0));
    // The pipeline's seed moves nothing.
    run(&server).seed(99).run().unwrap();
    assert_eq!(seeds(&requests), seeds(&server.requests()[9..]));
}
