//! `clawloops runtime-manager`: the part of ClawLoops that may speak to Docker and set the host's firewall, in a process of its own.

use super::{say, signals};
use crate::{
    config::Manager,
    manager::{
        allowance::Allowance,
        docker::{DockerEngine, Place},
        docker_address,
        names::Names,
        remote::token_beside,
        warden::Warden,
    },
};
use anyhow::{Context as _, bail, ensure};
use secrecy::SecretString;
use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::Path,
    sync::Arc,
};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Serves until SIGINT or SIGTERM. A second one ends it at once.
///
/// # Errors
/// When the settings cannot be held: an account that does not exist, a folder that others may write to, a socket that another manager serves.
pub async fn serve(config: &Manager) -> anyhow::Result<()> {
    docker_address::local(config.docker_host.as_deref())?;
    let own = nix::unistd::geteuid().as_raw();
    let server = config.user.as_deref().map_or(Ok(own), account)?;
    // Mounted into runtimes as root sees it: a link that the server laid in there would be a file of the host.
    let data_dir = own_folder(&config.data_dir, 0o700, own)?;
    let engine = DockerEngine::at(Place {
        docker_host: config.docker_host.as_deref(),
        instance: &config.instance,
        internal_port: config.internal_port,
        data_dir: &data_dir,
    })
    .context("configuring the container engine")?;
    let allowance = Allowance {
        names: Names::new(&config.instance),
        images: config.images.iter().filter(|image| !image.is_empty()).chain([&config.runtime_image]).cloned().collect(),
        memory_bytes: config.memory_mib.saturating_mul(1024 * 1024),
        cpu_millis: config.cpu_millis,
        pids: config.pids,
        gpu: config.gpu,
        oci_runtimes: config.oci_runtimes.iter().filter(|name| !name.is_empty()).cloned().collect(),
    };

    let socket = std::path::absolute(&config.runtime_manager).context("finding the socket's folder")?;
    // Passed through by the server, written by the manager alone: whoever else could put a socket there would be told the token.
    own_folder(socket.parent().context("a socket stands in a folder")?, 0o711, own)?;
    let file = config.runtime_manager_token.clone().unwrap_or_else(|| token_beside(&socket));
    let file = std::path::absolute(file).context("finding the token's folder")?;
    own_folder(file.parent().context("a token stands in a folder")?, 0o711, own)?;
    let token = token(&file, server).with_context(|| format!("making or reading the token in {}", file.display()))?;
    let listener = open(&socket, server)?;
    say(&format!("The runtime manager of {} listens at {} for account {server}.", config.instance, socket.display()));

    let warden = Arc::new(Warden::new(Arc::new(engine), allowance, token, BTreeSet::from([own, server])));
    let stop = CancellationToken::new();
    let forced = signals(stop.clone())?;
    tokio::select! {
        () = warden.serve(listener, stop) => {}
        () = forced.cancelled() => bail!("ended at once by a second signal; what was in progress is lost"),
    }
    fs::remove_file(&socket).context("taking the socket away")?;
    say("The runtime manager stopped. Runtimes keep running.");
    Ok(())
}

/// An account's number, by its name or its number.
fn account(name: &str) -> anyhow::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let user = nix::unistd::User::from_name(name).with_context(|| format!("looking for the account {name}"))?;
    Ok(user.with_context(|| format!("CLAWLOOPS_MANAGER_USER names {name}, and there is no such account"))?.uid.as_raw())
}

/// The folder with no link in its path, made with this mode where it is not there. It and the folders above are nobody's to write but `own`'s and root's,
/// or else somebody could put another in its place; a folder where everybody may write and nobody take away, as /tmp, is as good.
fn own_folder(folder: &Path, mode: u32, own: u32) -> anyhow::Result<std::path::PathBuf> {
    let shown = folder.display();
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder).with_context(|| format!("making {shown}"))?;
    let folder = fs::canonicalize(folder).with_context(|| format!("looking at {shown}"))?;
    for (depth, part) in folder.ancestors().enumerate() {
        let found = fs::metadata(part).with_context(|| format!("looking at {}", part.display()))?;
        let sticky = depth > 0 && found.mode() & 0o1000 != 0;
        ensure!(
            (found.uid() == own || found.uid() == 0) && (found.mode() & 0o022 == 0 || sticky),
            "{} can be written by others than the runtime manager, so nothing in {shown} can be relied on. Choose another folder, or close it: \
             chown root {0} && chmod go-w {0}",
            part.display()
        );
    }
    Ok(folder)
}

/// The token in this file, which is made on first use, for the server's account alone.
fn token(file: &Path, server: u32) -> anyhow::Result<SecretString> {
    let found = match fs::read_to_string(file) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; TOKEN_BYTES];
            getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("drawing random bits: {error}"))?;
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            // Whole before it bears its name. `create_new` follows no link that somebody laid there.
            let draft = file.with_extension("token.new");
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&draft)?;
            writeln!(open, "{text}")?;
            open.sync_all()?;
            fs::rename(&draft, file)?;
            text
        }
        Err(error) => return Err(error.into()),
    };
    // The server's account may be another one than at the last start.
    if fs::metadata(file)?.uid() != server {
        std::os::unix::fs::chown(file, Some(server), None)?;
    }
    let text = found.trim();
    ensure!(text.len() >= TOKEN_BYTES, "{} holds no token: at least {TOKEN_BYTES} characters. Remove it, and one is made", file.display());
    ensure!(fs::metadata(file)?.mode() & 0o077 == 0, "{} can be read by others: chmod 400 {0}", file.display());
    Ok(text.into())
}

/// Listens at the socket, which the server's account may connect to.
fn open(socket: &Path, server: u32) -> anyhow::Result<UnixListener> {
    let shown = socket.display();
    match fs::symlink_metadata(socket) {
        Ok(found) => {
            ensure!(found.file_type().is_socket(), "{shown} is there and no socket");
            ensure!(UnixStream::connect(socket).is_err(), "another runtime manager listens at {shown}");
            // Left by one that was killed.
            fs::remove_file(socket).with_context(|| format!("removing the old {shown}"))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("looking at {shown}")),
    }
    let listener = UnixListener::bind(socket).with_context(|| format!("opening {shown}"))?;
    // Whoever came before this is judged by its account all the same.
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    std::os::unix::fs::chown(socket, Some(server), None)?;
    Ok(listener)
}
