//! The small local model: a child that speaks OpenAI's shape.

use super::{
    Service,
    child::{Child, Plan, port_is_free},
};
use crate::{Error, Result, data};
use contract::{CountedIn, ModelChange, Price, ProviderKind};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Its name in the catalog, and upstream.
const MODEL: &str = "local-tiny";

/// Puts the local model into the catalog while its program is set, and takes it out when it is not.
pub(super) async fn put_into_catalog(service: &Service) -> Result<()> {
    let mut transaction = data::begin(&service.pool).await?;
    let present = data::provider::all(&mut transaction).await?.into_iter().find(|row| row.kind == ProviderKind::Local);
    match (&service.config.models.local_model_bin, present) {
        (Some(_), None) => {
            let provider_id = crate::clock::new_id();
            let row = data::provider::Row {
                provider_id,
                kind: ProviderKind::Local,
                name: ProviderKind::Local.label().to_owned(),
                base_url: None,
                allows_private: false,
                region: None,
                is_direct: false,
                secret_sealed: None,
                secret_key_id: None,
                secret_hint: None,
                created_at: service.clock.now(),
            };
            data::provider::add(&mut transaction, &row).await?;
            let model = ModelChange {
                name: MODEL.to_owned(),
                upstream: "local".to_owned(),
                description: "A very small model on this machine: it proves the whole way of a call, its words mean nothing.".to_owned(),
                context_tokens: 65_536,
                output_tokens: 2048,
                price: Some(Price::FREE),
                counted_in: CountedIn::Tokens,
                published: true,
                groups: None,
                is_default: false,
                fallbacks: Vec::new(),
            };
            data::model::add(&mut transaction, crate::clock::new_id(), provider_id, &model).await?;
        }
        (None, Some(row)) => drop(data::provider::remove(&mut transaction, row.provider_id).await?),
        (Some(_), Some(_)) | (None, None) => return Ok(()),
    }
    data::listen::notify(&mut transaction, data::listen::Change::Catalog).await?;
    transaction.commit().await?;
    Ok(())
}

/// Keeps the local model running until `stop`.
pub(super) async fn supervise(service: Arc<Service>, stop: CancellationToken) {
    let Some(program) = service.config.models.local_model_bin.clone() else {
        return;
    };
    let mut pause = Duration::from_secs(1);
    while !stop.is_cancelled() {
        match start(&service, &program).await {
            Ok(mut child) => {
                let healthy = tokio::time::Instant::now();
                tokio::select! {
                    status = child.ended() => tracing::error!(status, last_words = child.last_words(), "the local model ended by itself"),
                    () = stop.cancelled() => {}
                }
                child.stop().await;
                if healthy.elapsed() > Duration::from_secs(60) {
                    pause = Duration::from_secs(1);
                }
            }
            Err(error) => tracing::error!(error = %crate::error::chain(&error), "the local model did not start"),
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}

async fn start(service: &Service, program: &std::path::Path) -> Result<Child> {
    let port = service.config.models.local_model_port;
    let failed = |error: std::io::Error| Error::internal("making the local model's folder", error);
    let folder = service.config.data.data_dir.join("local-model");
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    let folder = tokio::fs::canonicalize(&folder).await.map_err(failed)?;
    let plan = Plan {
        name: "local model",
        program: super::litellm::absolute(program),
        arguments: ["--host", "127.0.0.1", "--port"].map(Into::into).into_iter().chain([port.to_string().into()]).collect(),
        environment: Vec::new(),
        pid_file: folder.join("pid"),
    };
    // Ends a left-over first, then looks whether somebody else has the port.
    plan.end_left_over();
    if !port_is_free(port) {
        return Err(Error::internal(
            "starting the local model",
            format!("port {port} is taken; set CLAWLOOPS_LOCAL_MODEL_PORT to another"),
        ));
    }
    let mut child = Child::start(plan, &folder)?;
    let answers = async {
        while service.http.get(format!("http://127.0.0.1:{port}/v1/models")).send().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let problem = tokio::select! {
        answered = timeout(Duration::from_secs(60), answers) => answered.err().map(|_| "it did not answer within 60 s".to_owned()),
        status = child.ended() => Some(format!("it ended with {status}")),
    };
    match problem {
        None => {
            tracing::info!(port, "the local model answers");
            Ok(child)
        }
        Some(problem) => {
            let words = child.last_words();
            child.stop().await;
            Err(Error::internal("starting the local model", format!("{problem}; its last lines:\n{words}")))
        }
    }
}
