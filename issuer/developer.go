package issuer

import (
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
)

// developer is the first page of "</> API": which token is for what.
func (i *Issuer) developer(_ *exchange, p *person) (response, error) {
	return pageResponse(http.StatusOK, pages.Developer(pages.DeveloperData{Layout: i.layoutFor("", p)})), nil
}
