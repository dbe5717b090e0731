//! The form of a transcription, taken apart as it came.

use crate::model::request::{Form, Malformed, Part};
use axum::{
    body::Bytes,
    http::{HeaderValue, header},
};
use multer::{Field, Multipart};
use std::convert::Infallible;

/// More fields have no such form.
const MOST_PARTS: usize = 64;

/// Takes a form apart.
///
/// # Errors
/// When it is no form, or one that breaks off.
pub async fn read(content_type: Option<&HeaderValue>, body: Bytes) -> Result<Form, Malformed> {
    let wrong = |message: &str| Malformed(message.to_owned(), None);
    let boundary = content_type.and_then(|value| multer::parse_boundary(value.to_str().ok()?).ok());
    let boundary = boundary.filter(|boundary| is_sound(boundary)).ok_or_else(|| {
        wrong("The request's body must be a form: `Content-Type: multipart/form-data` with a boundary, a field `model` and a field `file`.")
    })?;
    let mut came = Multipart::new(futures::stream::once(async move { Ok::<_, Infallible>(body) }), boundary.clone());
    let mut parts = Vec::new();
    let broken = |error: multer::Error| Malformed(format!("The form cannot be read: {error}."), None);
    while let Some(field) = came.next_field().await.map_err(broken)? {
        if parts.len() == MOST_PARTS {
            return Err(wrong("The form has too many fields."));
        }
        parts.push(part(field).await.map_err(broken)?);
    }
    Ok(Form { boundary, parts })
}

async fn part(field: Field<'_>) -> multer::Result<Part> {
    let content_type = field.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Part {
        name: field.name().unwrap_or_default().to_owned(),
        file_name: field.file_name().map(str::to_owned),
        content_type,
        bytes: field.bytes().await?,
    })
}

/// What RFC 2046 lets a boundary be.
fn is_sound(boundary: &str) -> bool {
    (1..=70).contains(&boundary.len())
        && !boundary.ends_with(' ')
        && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\x00\r\n-\xff\r\n\
        --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ndictation\r\n--b--\r\n";

    async fn take(content_type: &'static str, body: &'static [u8]) -> Result<Form, Malformed> {
        read(Some(&HeaderValue::from_static(content_type)), Bytes::from_static(body)).await
    }

    #[tokio::test]
    async fn a_form_is_taken_apart_and_its_bytes_stay() {
        let form = take("multipart/form-data; boundary=b", BODY).await.unwrap();
        let [file, model] = form.parts.as_slice() else { panic!("{form:?}") };
        assert_eq!(
            (file.name.as_str(), file.file_name.as_deref(), file.content_type.as_deref()),
            ("file", Some("a.wav"), Some("audio/wav"))
        );
        assert_eq!((&file.bytes[..], &model.bytes[..], model.file_name.as_deref()), (&b"\x00\r\n-\xff"[..], &b"dictation"[..], None));
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        assert!(read(None, Bytes::from_static(BODY)).await.is_err());
        for (content_type, body) in [
            ("application/json", BODY),
            ("multipart/form-data", BODY),
            ("multipart/form-data; boundary=\"a\\\"b\"", BODY),
            ("multipart/form-data; boundary=b", &BODY[..BODY.len() - 20]),
            ("multipart/form-data; boundary=other", BODY),
        ] {
            assert!(take(content_type, body).await.is_err(), "{content_type}");
        }
    }
}
