package main

// absent says of commands that juju has and we have not what is missing. A plugin may still bring one.
func absent(command string) string {
	for what, commands := range map[string][]string{
		"there are no cross-model relations yet": {"offer", "offers", "show-offer", "find-offers", "remove-offer", "consume", "remove-saas",
			"suspend-relation", "resume-relation", "set-firewall-rule", "firewall-rules"},
		"there are no users beside admin yet": {"add-user", "remove-user", "users", "show-user", "enable-user", "disable-user", "change-user-password",
			"grant", "revoke", "grant-cloud", "revoke-cloud", "register", "login", "logout"},
		"a controller is one machine, for now":                           {"enable-ha"},
		"Kubernetes is not supported: there are models of machines only": {"add-k8s", "update-k8s", "remove-k8s", "scale-application"},
		"there is no charm store: deploy a directory or a .charm file":   {"find", "info", "download", "charm-resources"},
		"there are no spaces: machines of a model reach one another":     {"spaces", "show-space", "add-space", "remove-space", "rename-space", "move-to-space", "reload-spaces", "subnets", "bind"},
		"the controllers' own key keeps secrets":                         {"secret-backends", "show-secret-backend", "add-secret-backend", "update-secret-backend", "remove-secret-backend", "model-secret-backend"},
		"models stay where they were made":                               {"migrate"},
	} {
		for _, c := range commands {
			if c == command {
				return what
			}
		}
	}
	return ""
}
