package api_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/grigri/grigri/controller/api"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func TestModelDefaults(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.put(state.UserPath("eve"), w.user("eve", "eve's", false))
	eve := w.login("eve", "eve's")
	w.must(w.admin.UpdateCloud(ctx, provider.Cloud{Name: "local", Type: "local", Regions: []provider.Region{{Name: "near"}, {Name: "far"}}}))
	set := func(region string, s userapi.Settings) {
		t.Helper()
		if warnings, err := w.admin.SetModelDefaults(ctx, userapi.SetModelDefaults{Region: region, Settings: s}); err != nil || len(warnings) != len(s.Set)/3 {
			t.Errorf("warnings %v, %v", warnings, err)
		}
	}
	set("", userapi.Settings{Set: map[string]string{"num-provision-workers": "7", "test-mode": "true", "misspelt": "x"}})
	set("far", userapi.Settings{Set: map[string]string{"num-provision-workers": "8"}})
	got, err := eve.ModelDefaults(ctx, "local")
	w.must(err)
	for key, want := range map[string]userapi.ModelDefault{
		"num-provision-workers": {Default: 16.0, Controller: 7.0, Regions: []userapi.RegionDefault{{Name: "far", Value: 8.0}}},
		"test-mode":             {Default: false, Controller: true},
		"development":           {Default: false},
		"misspelt":              {Controller: "x"},
		"uuid":                  {},
	} {
		if !reflect.DeepEqual(got[key], want) {
			t.Errorf("%s: %+v, want %+v", key, got[key], want)
		}
	}
	models := func(about string, want map[string]map[string]userapi.ModelSetting) {
		t.Helper()
		for name, settings := range want {
			config, err := w.admin.Model(name).Config(ctx)
			w.must(err)
			for key, s := range settings {
				if config[key] != s {
					t.Errorf("%s: %s of %s is %+v, want %+v", about, key, name, config[key], s)
				}
			}
		}
	}
	for _, name := range []string{"store", "outpost"} {
		_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: name, Region: map[string]string{"store": "near", "outpost": "far"}[name], Config: map[string]string{"test-mode": "true"}})
		w.must(err)
	}
	models("new models inherit", map[string]map[string]userapi.ModelSetting{
		"shop":    {"num-provision-workers": {Value: 16.0, Source: "default"}, "test-mode": {Value: false, Source: "default"}},
		"store":   {"num-provision-workers": {Value: 7.0, Source: "controller"}},
		"outpost": {"num-provision-workers": {Value: 8.0, Source: "region"}, "test-mode": {Value: true, Source: "model"}, "misspelt": {Value: "x", Source: "controller"}},
	})
	set("", userapi.Settings{Set: map[string]string{"num-provision-workers": "9"}, Reset: []string{"test-mode"}})
	set("far", userapi.Settings{Reset: []string{"num-provision-workers"}})
	models("models that are there stay as they are", map[string]map[string]userapi.ModelSetting{
		"store":   {"num-provision-workers": {Value: 7.0, Source: "controller"}},
		"outpost": {"num-provision-workers": {Value: 8.0, Source: "region"}, "test-mode": {Value: true, Source: "model"}},
	})
	for _, name := range []string{"shop", "outpost"} {
		_, err = w.admin.Model(name).SetConfig(ctx, userapi.Settings{Reset: []string{"num-provision-workers", "test-mode"}})
		w.must(err)
	}
	models("a reset", map[string]map[string]userapi.ModelSetting{
		"shop":    {"num-provision-workers": {Value: 9.0, Source: "controller"}},
		"outpost": {"num-provision-workers": {Value: 9.0, Source: "controller"}, "test-mode": {Value: false, Source: "default"}},
	})

	for want, d := range map[string]userapi.SetModelDefaults{
		`"maybe" is not true or false`:           {Settings: userapi.Settings{Set: map[string]string{"test-mode": "maybe", "development": "true"}}},
		`"uuid" cannot be set`:                   {Settings: userapi.Settings{Set: map[string]string{"uuid": "x"}}},
		`"authorized-keys" cannot be set`:        {Settings: userapi.Settings{Set: map[string]string{"authorized-keys": "x"}}},
		`"api-port" is a setting of the control`: {Settings: userapi.Settings{Set: map[string]string{"api-port": "1"}}},
		`"development" cannot be set and reset`:  {Settings: userapi.Settings{Set: map[string]string{"development": "true"}, Reset: []string{"development"}}},
		`no region "dark"`:                       {Region: "dark", Settings: userapi.Settings{Set: map[string]string{"development": "true"}}},
		`cloud "sun" not found`:                  {Cloud: "sun", Settings: userapi.Settings{Set: map[string]string{"development": "true"}}},
		`cloud ".." not found`:                   {Cloud: ".."},
		`cloud "local/near" not found`:           {Cloud: "local/near"},
	} {
		if _, err := w.admin.SetModelDefaults(ctx, d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", d, err, want)
		}
	}
	for _, cloud := range []string{"sun", "..", "local/.defaults"} {
		_, err = w.admin.ModelDefaults(ctx, cloud)
		w.want(userapi.NotFound, `cloud "`+cloud+`" not found`, err)
	}
	_, err = eve.SetModelDefaults(ctx, userapi.SetModelDefaults{Settings: userapi.Settings{Set: map[string]string{"development": "true"}}})
	w.want(userapi.Forbidden, "superuser", err)
	models("what is refused", map[string]map[string]userapi.ModelSetting{"shop": {"development": {Value: false, Source: "default"}}})

}

func TestControllerConfig(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.put(state.UserPath("eve"), w.user("eve", "eve's", false))
	eve := w.login("eve", "eve's")
	config, err := eve.ControllerConfig(ctx)
	if err != nil || config["api-port"] != 17070.0 || config["controller-name"] != "c1" || config["controller-uuid"] != "c-uuid" ||
		config["zookeeper-addresses"] != "127.0.0.1:2181" || !strings.HasPrefix(config["ca-cert"].(string), "-----BEGIN CERTIFICATE") {
		t.Errorf("the controller's settings: %v, %v", config, err)
	}
	size := func(want string, bytes int64) {
		t.Helper()
		config, err := w.admin.ControllerConfig(ctx)
		w.must(err)
		rec, err := state.ReadIf[state.ControllerConfig](ctx, w.store, state.ControllerConfigPath)
		w.must(err)
		if got := rec.Value.LogSize(); config["model-logs-size"] != want || got != bytes {
			t.Errorf("model-logs-size is %v, %d bytes; want %s, %d", config["model-logs-size"], got, want, bytes)
		}
	}
	size("32M", 32<<20)
	w.must(w.admin.SetControllerConfig(ctx, map[string]string{"model-logs-size": "2G"}))
	size("2G", 2<<30)
	w.must(w.admin.SetControllerConfig(ctx, map[string]string{"model-logs-size": "1024k"}))
	size("1024k", 1<<20)
	for want, set := range map[string]map[string]string{
		`"large" is not a size`:                    {"model-logs-size": "large"},
		`"1023K" is less than 1M`:                  {"model-logs-size": "1023K"},
		`"api-port" cannot be changed`:             {"model-logs-size": "3M", "api-port": "1"},
		`"nosuch" is not a setting of controllers`: {"model-logs-size": "3M", "nosuch": "1"},
	} {
		if err := w.admin.SetControllerConfig(ctx, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", set, err, want)
		}
	}
	w.want(userapi.Forbidden, "superuser", eve.SetControllerConfig(ctx, map[string]string{"model-logs-size": "3M"}))
	size("1024k", 1<<20)
	own, model, err := api.SplitConfig(map[string]string{"model-logs-size": "3M", "test-mode": "true"})
	if err != nil || !maps.Equal(own, state.ControllerConfig{"model-logs-size": "3M"}) || !maps.Equal(model, state.ModelConfig{"test-mode": "true"}) {
		t.Errorf("at bootstrap: %v, %v, %v", own, model, err)
	}
}
