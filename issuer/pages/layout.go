package pages

import (
	"cmp"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

// Layout is what all pages have in common.
type Layout struct {
	Title       string
	Environment string // "sandbox" stands on each page, so that nobody takes it for the real thing
	Base        string // path of the issuer's URL
	User        string // name of who is signed in; empty: nobody
	CSRF        string // of the session, for the form that signs out
	Wide        bool   // the page holds tables
	Section     Section
	Trading     bool // there are tokens of trading accounts

	in *i18n.Localizer // the language; nil: English
}

func (l Layout) language() *i18n.Localizer { return cmp.Or(l.in, english()) }

// Section is a part of the portal. Those of one area are tabs of each other.
type Section string

// The sections: of the profile settings, and of "</> API". A page outside of both
// has none.
const (
	SectionSecurity      Section = "security"
	SectionIntegrations  Section = "integrations"
	SectionConnectedApps Section = "apps"
	SectionActivity      Section = "activity"
	SectionNotifications Section = "notifications"

	SectionApplications Section = "applications"
	SectionUserTokens   Section = "user_tokens"
	SectionAccessTokens Section = "access_tokens"
)

// Tab leads to a section.
type Tab struct {
	Section Section
	Path    string // below the issuer's own
}

var (
	settingsTabs = []Tab{
		{SectionSecurity, "/settings"}, {SectionIntegrations, "/settings/integrations"}, {SectionConnectedApps, "/settings/apps"},
		{SectionActivity, "/settings/activity"}, {SectionNotifications, "/settings/notifications"},
	}
	apiTabs = []Tab{{SectionApplications, "/applications"}, {SectionUserTokens, "/static-tokens"}, {SectionAccessTokens, "/trading/tokens"}}
)

// Tabs are the sections beside that of the page.
func (l Layout) Tabs() []Tab {
	for _, tabs := range [][]Tab{settingsTabs, apiTabs} {
		for _, tab := range tabs {
			if tab.Section == l.Section {
				return l.existing(tabs)
			}
		}
	}
	return nil
}

// existing leaves out what this issuer doesn't have.
func (l Layout) existing(tabs []Tab) []Tab {
	kept := make([]Tab, 0, len(tabs))
	for _, tab := range tabs {
		if tab.Section != SectionAccessTokens || l.Trading {
			kept = append(kept, tab)
		}
	}
	return kept
}

// Area is the text that names the tabs.
func (l Layout) Area() string {
	for _, tab := range apiTabs {
		if tab.Section == l.Section {
			return "layout.api"
		}
	}
	return "layout.settings"
}

// titled is the layout of a page with this text as its title.
func (l Layout) titled(id string, pairs ...any) Layout {
	l.Title = text(l.language(), id, pairs...)
	return l
}

// Style is the address of the style sheet.
func (l Layout) Style() string { return l.Base + "/assets/" + style.name }

// Script is the address of the portal's script, which no page needs.
func (l Layout) Script() string { return l.Base + "/assets/" + script.name }

// Home is the address of the first page.
func (l Layout) Home() string { return cmp.Or(l.Base, "/") }
