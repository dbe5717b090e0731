//! The files of the built page: script, wasm, style, pictures. The same for everyone, so they need no session.

use app::Site;
use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// The folder that they lie in.
pub struct Assets {
    root: PathBuf,
    version: String,
    site: Site,
}

/// Where the built files lie: those of the code, which belong together, and the style. Their addresses have the version between this and the name.
const BUILT: &str = "pkg";
/// Says in which files the parts of the code are.
const PARTS: &str = "pkg/parts.txt";

/// A year: the address changes with the file.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Kept, but asked about each time.
const ASK: &str = "public, no-cache";

impl Assets {
    /// Serves what lies below `root`.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        let version = version(&root);
        let parts = std::fs::read_to_string(root.join(PARTS)).unwrap_or_default();
        Self { site: Site::new(&version, &parts), root, version }
    }

    /// What pages are told of the built files. Their version is a digest of them all, and empty when nothing is built.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The file at this address; none when there is no such file: then it is a page's address. Code of another version than this is not given out:
    /// it would be put together with what a page has of the older one. Such a page loads the next address whole.
    pub async fn find(&self, method: &Method, uri: &Uri, request_headers: &HeaderMap) -> Option<Response> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        let asked = relative(uri.path())?;
        let kind = kind(&asked)?;
        let (relative, version) = named(&asked);
        let present = version.map(|version| version == self.version.as_str());
        if present == Some(false) && kind != CSS {
            return Some(respond(StatusCode::NOT_FOUND, HeaderMap::new(), Body::empty()));
        }
        let plain = self.root.join(&relative);
        let (path, encoding) = self.smallest(&plain, request_headers).await?;
        let metadata = tokio::fs::metadata(&path).await.ok().filter(std::fs::Metadata::is_file)?;
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_nanos());
        let tag = format!("W/\"{:x}-{modified:x}\"", metadata.len());

        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(if present == Some(true) { FOREVER } else { ASK }));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
        let same = request_headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| known.trim() == tag);
        if same {
            return Some(respond(StatusCode::NOT_MODIFIED, headers, Body::empty()));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let bytes = tokio::fs::read(&path).await.ok()?;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        let body = if method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
        Some(respond(StatusCode::OK, headers, body))
    }

    /// The file itself, or the compressed one that was built beside it, when the browser reads that and it is not older.
    async fn smallest(&self, plain: &Path, request_headers: &HeaderMap) -> Option<(PathBuf, Option<&'static str>)> {
        let built = second(&tokio::fs::metadata(plain).await.ok()?);
        for (encoding, extension) in [("br", ".br"), ("gzip", ".gz")] {
            if accepts(request_headers, encoding) {
                let mut packed = plain.as_os_str().to_owned();
                packed.push(extension);
                if let Ok(metadata) = tokio::fs::metadata(&packed).await
                    && second(&metadata) >= built
                {
                    return Some((packed.into(), Some(encoding)));
                }
            }
        }
        Some((plain.to_owned(), None))
    }
}

/// A digest of the built files, by name; empty where there are none.
fn version(root: &Path) -> String {
    let Ok(folder) = std::fs::read_dir(root.join(BUILT)) else { return String::new() };
    let mut built: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).filter(|path| kind(path).is_some()).collect();
    built.sort();
    let mut digest = Sha256::new();
    for path in &built {
        let Ok(bytes) = std::fs::read(path) else { return String::new() };
        digest.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update(Sha256::digest(bytes));
    }
    if built.is_empty() { String::new() } else { digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect() }
}

/// The file that an address asks for, and of which version: only the address of a built file says one.
fn named(asked: &Path) -> (PathBuf, Option<String>) {
    let segments: Vec<&str> = asked.iter().filter_map(|segment| segment.to_str()).collect();
    match segments[..] {
        [BUILT, version, file] => (Path::new(BUILT).join(file), Some(version.to_owned())),
        _ => (asked.to_owned(), None),
    }
}

/// When the file was written, to the second: a packer that copies the time of its source keeps no more.
fn second(metadata: &std::fs::Metadata) -> u64 {
    metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_secs())
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |offer| {
            let mut parts = offer.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
            named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        },
    )
}

/// The path below the folder: plain names only, none hidden.
fn relative(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/')?;
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    path.split('/').all(plain).then(|| PathBuf::from(path))
}

const CSS: &str = "text/css; charset=utf-8";

/// The media type. What has none here is not served.
fn kind(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => CSS,
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "json" | "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(assets: &Assets, address: &str, headers: &[(&'static str, &str)]) -> Option<Response> {
        let headers = headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        assets.find(&Method::GET, &address.parse().unwrap(), &headers).await
    }

    #[tokio::test]
    async fn a_file_is_served_small_and_asked_about_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pkg")).unwrap();
        std::fs::write(folder.path().join("pkg/app.js"), "let plain").unwrap();
        std::fs::write(folder.path().join("pkg/app.js.br"), "packed").unwrap();
        let written = |name: &str, at: std::time::Duration| {
            std::fs::File::options().write(true).open(folder.path().join(name)).unwrap().set_modified(UNIX_EPOCH + at).unwrap();
        };
        written("pkg/app.js", std::time::Duration::from_millis(1_700_000_000_700));
        written("pkg/app.js.br", std::time::Duration::from_secs(1_700_000_000));
        let assets = Assets::at(folder.path().to_owned());

        let plain = get(&assets, "/pkg/app.js", &[]).await.unwrap();
        assert_eq!(plain.headers()["cache-control"], ASK);
        assert_eq!(plain.headers()["content-type"], "text/javascript; charset=utf-8");
        assert!(!plain.headers().contains_key("content-encoding"));

        let packed = get(&assets, "/pkg/app.js", &[("accept-encoding", "gzip, br")]).await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "br");

        // Packed from an earlier file: not served in its place.
        written("pkg/app.js.br", std::time::Duration::from_secs(1_600_000_000));
        assert!(!get(&assets, "/pkg/app.js", &[("accept-encoding", "br")]).await.unwrap().headers().contains_key("content-encoding"));

        let tag = plain.headers()["etag"].to_str().unwrap();
        assert_eq!(get(&assets, "/pkg/app.js", &[("if-none-match", tag)]).await.unwrap().status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn a_built_file_is_kept_for_good_under_its_version_and_code_of_another_is_not_given_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pkg")).unwrap();
        assert_eq!(Assets::at(folder.path().to_owned()).version, "");
        let built = |text: &str| {
            for file in ["clawloops.css", "clawloops.js", "clawloops_bg.wasm", "split_admin.wasm"] {
                std::fs::write(folder.path().join("pkg").join(file), format!("{file} {text}")).unwrap();
            }
            std::fs::write(folder.path().join(PARTS), "admin split_admin.wasm\n").unwrap();
            Assets::at(folder.path().to_owned())
        };
        let (before, now) = (built("one").version, built("two"));
        assert_ne!(before, now.version);
        let [first] = &now.site().part("admin").collect::<Vec<_>>()[..] else { panic!("one part of one file") };
        assert_eq!(*first, format!("/pkg/{}/split_admin.wasm", now.version));
        let (ok, gone) = (StatusCode::OK, StatusCode::NOT_FOUND);
        for (address, status, kept) in [
            (first.clone(), ok, Some(FOREVER)),
            (format!("/pkg/{}/clawloops.js", now.version), ok, Some(FOREVER)),
            (format!("/pkg/{before}/clawloops.css"), ok, Some(ASK)),
            (format!("/pkg/{before}/clawloops.js"), gone, None),
            (format!("/pkg/{before}/clawloops_bg.wasm"), gone, None),
            (format!("/pkg/{before}/split_admin.wasm"), gone, None),
            ("/pkg/clawloops.js".to_owned(), ok, Some(ASK)),
        ] {
            let answer = get(&now, &address, &[]).await.unwrap();
            let caching = answer.headers().get("cache-control").map(|value| value.to_str().unwrap());
            assert_eq!((answer.status(), caching), (status, kept), "{address}");
        }
        // Whatever changes of the code changes the version.
        std::fs::write(folder.path().join("pkg/split_admin.wasm"), "another").unwrap();
        assert_ne!(Assets::at(folder.path().to_owned()).version, now.version);
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_served() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("site")).unwrap();
        std::fs::write(folder.path().join("master.txt"), "secret").unwrap();
        std::fs::write(folder.path().join("site/.hidden.txt"), "secret").unwrap();
        let assets = Assets::at(folder.path().join("site"));
        for address in ["/../master.txt", "/%2e%2e/master.txt", "/.hidden.txt", "//master.txt", "/", "/none.txt"] {
            assert!(get(&assets, address, &[]).await.is_none(), "{address}");
        }
    }
}
