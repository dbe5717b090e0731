//! Which page stands at an address, and in which part of the code.
//!
//! What people begin with, home among it, is in the wasm that every page loads. The other pages lie in parts of their own, each a file that a browser
//! loads when it first opens a page of that part: `deploy/build/site.sh` takes the wasm apart at the functions marked below. The server has all of
//! it at hand and names the part of a page and its files in its head, so that they come along with the rest. Under Trunk nothing is taken apart.

use crate::{
    browser,
    pages::{admin, home, invitation, models, open, runtime, runtimes, security, setup, shared, sign_in, usage},
};
use leptos::prelude::*;
use leptos_router::{ChooseView, location::Url};

/// A page.
#[derive(Clone, Copy, Debug)]
pub enum Page {
    /// Where one signs in.
    SignIn,
    /// The first administrator's account.
    Setup,
    /// A new person's account.
    Invitation,
    /// Home.
    Home,
    /// Of the part for everybody.
    Own(Own),
    /// Of the part for administrators.
    Admin(Admin),
}

/// The pages of the part that everybody may come to.
#[derive(Clone, Copy, Debug)]
pub enum Own {
    /// One's runtimes.
    Runtimes,
    /// One runtime.
    Runtime,
    /// A runtime's own page, in a frame.
    Open,
    /// Somebody else's, in a frame.
    Shared,
    /// Models and keys.
    Models,
    /// One's usage.
    Usage,
    /// Password, sessions, profile.
    Security,
}

/// The pages of the part that only administrators come to.
#[derive(Clone, Copy, Debug)]
pub enum Admin {
    /// The platform at a glance.
    Overview,
    /// People and invitations.
    People,
    /// One person.
    Person,
    /// Groups of persons.
    Groups,
    /// Everyone's runtimes.
    Runtimes,
    /// Profiles of runtimes.
    Profiles,
    /// Providers and the catalog.
    Models,
    /// Every limit.
    Budgets,
    /// Requests for more of a limit.
    Requests,
    /// Everyone's usage.
    Usage,
    /// The audit log.
    Audit,
}

/// The part for everybody, as the splitter names its files.
#[cfg(any(feature = "hydrate", feature = "ssr"))]
const OWN: &str = "own";
/// The part for administrators.
#[cfg(any(feature = "hydrate", feature = "ssr"))]
const ADMIN: &str = "admin";

/// A part did not come: the connection broke, or the server has another version of it by now.
#[derive(Clone, Copy, Debug)]
struct Missing;

#[cfg(feature = "hydrate")]
impl From<wasm_split_helpers::SplitLoaderError> for Missing {
    fn from(_: wasm_split_helpers::SplitLoaderError) -> Self {
        Self
    }
}

#[cfg_attr(feature = "hydrate", wasm_split_helpers::wasm_split(own, fallible, preload(load_own)))]
fn draw_own(page: Own) -> Result<AnyView, Missing> {
    Ok(match page {
        Own::Runtimes => runtimes::page(),
        Own::Runtime => runtime::page(),
        Own::Open => open::page(),
        Own::Shared => shared::page(),
        Own::Models => models::page(),
        Own::Usage => usage::page(),
        Own::Security => security::page(),
    })
}

#[cfg_attr(feature = "hydrate", wasm_split_helpers::wasm_split(admin, fallible, preload(load_admin)))]
fn draw_admin(page: Admin) -> Result<AnyView, Missing> {
    Ok(match page {
        Admin::Overview => admin::overview::page(),
        Admin::People => admin::people::page(),
        Admin::Person => admin::person::page(),
        Admin::Groups => admin::groups::page(),
        Admin::Runtimes => admin::runtimes::page(),
        Admin::Profiles => admin::profiles::page(),
        Admin::Models => admin::models::page(),
        Admin::Budgets => admin::budgets::page(),
        Admin::Requests => admin::requests::page(),
        Admin::Usage => admin::usage::page(),
        Admin::Audit => admin::audit::page(),
    })
}

/// Everything is at hand: the server notes which part the browser will want.
#[cfg(not(feature = "hydrate"))]
async fn load_own() -> Result<(), Missing> {
    #[cfg(feature = "ssr")]
    crate::site::announce(OWN);
    Ok(())
}

/// As for the part for everybody.
#[cfg(not(feature = "hydrate"))]
async fn load_admin() -> Result<(), Missing> {
    #[cfg(feature = "ssr")]
    crate::site::announce(ADMIN);
    Ok(())
}

/// Loads the part of the page that the server drew; whether it came. It comes before anything else wakes up: from then on links are followed within
/// the page, which it could not do yet. Where it does not come, the page stays as it was drawn, and its links and forms are the browser's own.
#[cfg(feature = "hydrate")]
pub async fn arrived() -> bool {
    match browser::meta("part").as_deref() {
        Some(OWN) => load_own().await.is_ok(),
        Some(ADMIN) => load_admin().await.is_ok(),
        Some(_) | None => true,
    }
}

impl Page {
    /// Loads the part that the page is in; done at once where that is here already.
    async fn load(self) -> Result<(), Missing> {
        match self {
            Self::SignIn | Self::Setup | Self::Invitation | Self::Home => {}
            Self::Own(_) => load_own().await?,
            Self::Admin(_) => load_admin().await?,
        }
        Ok(())
    }

    async fn draw(self) -> Result<AnyView, Missing> {
        match self {
            Self::SignIn => Ok(sign_in::page()),
            Self::Setup => Ok(setup::page()),
            Self::Invitation => Ok(invitation::page()),
            Self::Home => Ok(home::page()),
            Self::Own(page) => {
                let drawn = draw_own(page);
                #[cfg(feature = "hydrate")]
                let drawn = drawn.await;
                drawn
            }
            Self::Admin(page) => {
                let drawn = draw_admin(page);
                #[cfg(feature = "hydrate")]
                let drawn = drawn.await;
                drawn
            }
        }
    }
}

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        self.draw().await.unwrap_or_else(|Missing| ().into_any())
    }

    async fn preload(&self) {
        let wanted = use_context::<ArcRwSignal<Url>>();
        if self.load().await.is_err() {
            if let Some(wanted) = wanted {
                browser::go(&wanted.read_untracked());
            }
            // Nothing is drawn: the page that is there stays until the browser has the other.
            std::future::pending::<()>().await;
        }
    }
}
