//! The form of a transcription: its fields in their order, the recording with its bytes.

use super::{Malformed, steering};
use crate::model::shape::Shape;
use bytes::Bytes;

/// Bits a second of the sparsest recording that is reckoned with: speech in Opus at its lowest rate.
const SPARSEST: i64 = 6_000;

/// The longest that a recording of so many bytes is reckoned with, in seconds.
pub fn most_seconds(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(8).div_euclid(SPARSEST) + 1
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The name of its file, where it is one.
    pub file_name: Option<String>,
    /// What it says to be.
    pub content_type: Option<String>,
    /// What is in it.
    pub bytes: Bytes,
}

impl Part {
    /// The name without what makes it one of several: `timestamp_granularities[]`.
    fn base(&self) -> &str {
        self.name.split('[').next().unwrap_or_default().trim()
    }
}

/// A form as it came.
#[derive(Clone, Debug)]
pub struct Form {
    /// What stands between its parts, and in none of them.
    pub boundary: String,
    /// Its fields.
    pub parts: Vec<Part>,
}

impl Form {
    /// Whether each field that we read is there once at most: of two, we might read one and a provider the other.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        for name in ["model", "file", "stream"] {
            let alike: Vec<&Part> = self.parts.iter().filter(|part| part.base().eq_ignore_ascii_case(name)).collect();
            if alike.len() > 1 || alike.iter().any(|part| part.name != name) {
                return Err(Malformed(format!("The field `{name}` must be there once, by this name."), Some(name)));
            }
        }
        Ok(())
    }

    /// A field that is text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let part = self.parts.iter().find(|part| part.name == name && part.file_name.is_none())?;
        std::str::from_utf8(&part.bytes).ok().map(|text| text.trim().to_owned())
    }

    /// How long the recording is, in bytes.
    pub(super) fn file_bytes(&self) -> Option<usize> {
        self.parts.iter().find(|part| part.name == "file").map(|part| part.bytes.len())
    }

    /// Bytes of all fields but the recording.
    pub(super) fn text_bytes(&self) -> i64 {
        let bytes = self.parts.iter().filter(|part| part.name != "file").map(|part| part.bytes.len()).sum::<usize>();
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// The header that goes with it.
    pub(super) fn content_type(&self) -> String {
        let is_token = self.boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_'+.".contains(&byte));
        if is_token {
            format!("multipart/form-data; boundary={}", self.boundary)
        } else {
            format!("multipart/form-data; boundary=\"{}\"", self.boundary)
        }
    }

    /// The form to send, by the name that the upstream knows: without what would steer, everything else in its own bytes. The heads of the fields are
    /// written anew, so that nobody reads another name in one than we did.
    pub(super) fn to_upstream(&self, name: &str) -> Vec<u8> {
        let size = self.parts.iter().map(|part| part.bytes.len() + 256).sum::<usize>();
        let mut body = Vec::with_capacity(size + self.boundary.len());
        for part in self.parts.iter().filter(|part| !steering::is_steering(part.base(), Shape::Transcription)) {
            body.extend_from_slice(
                format!("--{}\r\nContent-Disposition: form-data; name=\"{}\"", self.boundary, quoted(&part.name)).as_bytes(),
            );
            if let Some(file_name) = &part.file_name {
                body.extend_from_slice(format!("; filename=\"{}\"", quoted(file_name)).as_bytes());
            }
            body.extend_from_slice(b"\r\n");
            if let Some(content_type) = &part.content_type {
                body.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
            }
            body.extend_from_slice(b"\r\n");
            if part.name == "model" {
                body.extend_from_slice(name.as_bytes());
            } else {
                body.extend_from_slice(&part.bytes);
            }
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        body
    }
}

/// A name within quotes, as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::request::Call;

    fn part(name: &str, text: &str) -> Part {
        Part { name: name.to_owned(), file_name: None, content_type: None, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    fn form(parts: Vec<Part>) -> Form {
        Form { boundary: "x-y".to_owned(), parts }
    }

    fn recording(bytes: &'static [u8]) -> Part {
        Part {
            name: "file".to_owned(),
            file_name: Some("a \"b\".mp3".to_owned()),
            content_type: Some("audio/mpeg".to_owned()),
            bytes: Bytes::from_static(bytes),
        }
    }

    #[test]
    fn a_form_keeps_its_bytes_but_for_the_models_name_and_what_steers() {
        let call = Call::of_form(form(vec![
            part("model", "dictation"),
            part("api_base", "http://elsewhere"),
            part("metadata[a]", "b"),
            part("timestamp_granularities[]", "word"),
            recording(b"\x00\xff\r\n--other"),
        ]))
        .unwrap();
        assert_eq!((call.model.as_str(), call.stream, call.pieces), ("dictation", false, 1));
        assert_eq!(call.content_type(), "multipart/form-data; boundary=x-y");
        let mut expected = b"--x-y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
            --x-y\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nword\r\n\
            --x-y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n"
            .to_vec();
        expected.extend_from_slice(b"\x00\xff\r\n--other\r\n--x-y--\r\n");
        assert_eq!(call.to_upstream("whisper-1", None), expected);
    }

    #[test]
    fn what_is_missing_or_could_mean_two_things_is_refused() {
        for (parts, field) in [
            (vec![part("model", "m")], "file"),
            (vec![recording(b"a")], "model"),
            (vec![part("model", " "), recording(b"a")], "model"),
            (vec![part("model", "cheap"), part("model", "dear"), recording(b"a")], "model"),
            (vec![part("model", "cheap"), part("model[]", "dear"), recording(b"a")], "model"),
            (vec![part("Model", "dear"), part("model", "cheap"), recording(b"a")], "model"),
            (vec![part("model", "m"), recording(b"a"), recording(b"b")], "file"),
        ] {
            assert_eq!(Call::of_form(form(parts)).unwrap_err().1, Some(field));
        }
    }

    #[test]
    fn a_recording_is_never_longer_than_it_is_held_for() {
        // A minute of Opus at 6 kbit/s, and an hour of MP3 at 64 kbit/s.
        assert!((60..=62).contains(&most_seconds(45_000)));
        assert!(most_seconds(28_800_000) >= 3600);
        assert_eq!((most_seconds(0), most_seconds(usize::MAX)), (1, i64::MAX / SPARSEST + 1));
    }
}
