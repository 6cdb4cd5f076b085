package issuer

import (
	"slices"
	"strings"
)

// activityKind is a kind of event, by which people filter.
type activityKind string

// The kinds. Refusals are of any of the others.
const (
	activitySignIns  activityKind = "sign_ins"
	activityTokens   activityKind = "tokens"
	activityApps     activityKind = "apps"
	activityRights   activityKind = "rights"
	activityWebhooks activityKind = "webhooks"
	activityRefusals activityKind = "refusals"
)

// activityActions are the actions of each kind that concern people. Each has a text:
// activity.did with the action and, where that has several, the outcome or what was
// ended.
var activityActions = map[activityKind][]string{
	activitySignIns: {
		"user.sign_in", "user.sign_out", "user.set_password", "user.password_change", "user.end_sessions",
	},
	activityTokens: {
		"personal_token.issue", "personal_token.rotate", "token.create", "token.show", "token.revoke", "token.keep", "token.renew",
	},
	activityApps: {
		"code.issue", "code.redeem", "connection.issue", "connection.delink", "authorization.deny", "grant.revoke",
		"client.add", "client.set", "client.rotate_secret", actionOldSecret, "client.end_old_secret", "client.disable", "client.enable", "client.revoke",
		"client_rights.revoke", "client_rights.give",
	},
	activityRights: {
		"user.add", "user.set", "user.disable", "user.enable", "principal.revoke", "rights.revoke", "rights.give",
		"account.add", "account.set", "account.disable", "account.enable", "account.revoke", "account.bind", "account.unbind",
		"request.refuse",
	},
	activityWebhooks: {"webhook.set", "webhook.rotate_secret", "webhook.remove", "webhook.off"},
}

// activityKindNames are the kinds in the order of the form.
func activityKindNames() []string {
	return []string{string(activitySignIns), string(activityTokens), string(activityApps), string(activityRights), string(activityWebhooks), string(activityRefusals)}
}

// knownActivity are the actions that have a text.
func knownActivity(action string) bool {
	for _, actions := range activityActions {
		if slices.Contains(actions, action) {
			return true
		}
	}
	return false
}

// deed is the last part of a text's name: an action, with the form of it that is
// told in other words.
func deed(action, form string) string {
	name := strings.ReplaceAll(action, ".", "_")
	if form != "" {
		name += "_" + form
	}
	return name
}
