package prometheus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = "config/prometheus/dashboard.json"

// dashboard is what these tests look at in a dashboard of Grafana.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct {
		H, W, X, Y int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, dashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
		t.Fatalf("%s is no dashboard", dashboardFile)
	}
	return d
}

// queries are the panels with figures, without the rows between them.
func (d dashboard) queries() []panel {
	return slices.DeleteFunc(slices.Clone(d.Panels), func(p panel) bool { return p.Type == "row" })
}

// variables of Grafana that stand in expressions, and of those that Grafana sets itself.
var variable = regexp.MustCompile(`\$[a-z_]+`)

func TestDashboardAsksForWhatIsTold(t *testing.T) {
	c, d := readContract(t), readDashboard(t)
	known := []string{"$__rate_interval"}
	for _, v := range d.Templating.List {
		known = append(known, "$"+v.Name)
		if v.Type != "query" {
			continue
		}
		inner, found := strings.CutPrefix(v.Definition, "label_values(")
		cut := strings.LastIndex(inner, ", ")
		if !found || cut < 0 {
			t.Fatalf("variable %s is %q", v.Name, v.Definition)
		}
		// Grafana asks for the values of one label of a metric.
		for _, wrong := range c.check("count by (" + strings.TrimSuffix(inner[cut+2:], ")") + ") (" + inner[:cut] + ")") {
			t.Errorf("variable %s: %s", v.Name, wrong)
		}
	}
	for _, p := range d.queries() {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range variable.FindAllString(target.Expr, -1) {
				if !slices.Contains(known, name) {
					t.Errorf("panel %q: nobody sets %s", p.Title, name)
				}
			}
			expression := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			for _, wrong := range c.check(expression) {
				t.Errorf("panel %q: %s", p.Title, wrong)
			}
			for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if wrong := c.check("count by (" + label[1] + ") (" + expression + ")"); len(wrong) > 0 {
					t.Errorf("panel %q: its legend names %s", p.Title, wrong)
				}
			}
		}
	}
}

func TestPanelsAreComplete(t *testing.T) {
	d := readDashboard(t)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the number of another", p.Title)
		}
		ids[p.ID] = true
		if p.Title == "" {
			t.Errorf("panel %d has no title", p.ID)
		}
	}
	for _, p := range d.queries() {
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q: description %q, unit %q, data source %q", p.Title, p.Description, p.FieldConfig.Defaults.Unit, p.Datasource.UID)
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	d := readDashboard(t)
	for i, a := range d.Panels {
		if a.GridPos.W == 0 || a.GridPos.H == 0 || a.GridPos.X+a.GridPos.W > 24 {
			t.Errorf("panel %q stands at %+v", a.Title, a.GridPos)
		}
		for _, b := range d.Panels[:i] {
			if a.GridPos.X < b.GridPos.X+b.GridPos.W && b.GridPos.X < a.GridPos.X+a.GridPos.W &&
				a.GridPos.Y < b.GridPos.Y+b.GridPos.H && b.GridPos.Y < a.GridPos.Y+a.GridPos.H {
				t.Errorf("panels %q and %q stand on one another", a.Title, b.Title)
			}
		}
	}
}

// Every metric that is of a link, a policy or a tuning is on the dashboard.
func TestTheDashboardShowsEveryMetric(t *testing.T) {
	c, d := readContract(t), readDashboard(t)
	var all strings.Builder
	for _, p := range d.queries() {
		for _, target := range p.Targets {
			all.WriteString(target.Expr + "\n")
		}
	}
	// It tells what an alert compares with, and is in the policy itself.
	const onlyForAlerts = "connpolicy_policy_probe_interval_seconds"
	for name := range c.labels {
		if strings.HasPrefix(name, "connpolicy_") && name != onlyForAlerts && !strings.Contains(all.String(), name) {
			t.Errorf("%s is nowhere on the dashboard", name)
		}
	}
}
